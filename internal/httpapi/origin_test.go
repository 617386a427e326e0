package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
)

// Any page that a person looks at may send requests to a service on the same machine.
func TestPagesOfOthersChangeNothing(t *testing.T) {
	s := newService(t, func(o *httpapi.Options) { o.Loopback, o.Hosts = true, []string{"TW.test", " b"} })
	post := func(headers ...string) answer { return s.do(t, "POST", "http://localhost:8080/task", good, headers...) }
	require.Equal(t, 201, post().Code, "curl names no origin")
	require.Equal(t, 201, post("Origin", "http://localhost:8080").Code)
	require.Equal(t, 201, post("Origin", "http://proxy.test", "Sec-Fetch-Site", "same-origin").Code)
	created := len(s.tasks)
	for _, headers := range [][]string{
		{"Origin", "http://evil.test"},
		{"Origin", "null"},
		{"Origin", "http://localhost:8080", "Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "http://evil.test", "Content-Type", "text/plain"},
	} {
		requireProblem(t, post(headers...), 403, "cross_origin")
	}
	requireProblem(t, s.do(t, "POST", "http://localhost/task", good, "Content-Type", ""), 415, "unsupported_media_type")

	for _, host := range []string{"localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1:8080", "127.8.8.8", "[::1]:8080", "tw.test:8080", "localhost."} {
		require.Equal(t, 200, s.do(t, "GET", "http://"+host+"/task", "").Code, host)
	}
	for _, host := range []string{"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "xlocalhost"} {
		requireProblem(t, s.do(t, "GET", "http://"+host+"/task", ""), 421, "misdirected")
		requireProblem(t, s.do(t, "POST", "http://"+host+"/task", good), 421, "misdirected")
		require.Equal(t, 200, s.do(t, "GET", "http://"+host+"/readyz", "").Code)
	}
	require.Len(t, s.tasks, created)

	open := newService(t)
	require.Equal(t, 201, open.do(t, "POST", "http://tasks.example/task", good).Code, "it does not listen on loopback alone")
}
