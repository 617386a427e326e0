package tasktype_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/tasktype"
)

type arrival struct {
	method, uri, body string
	header            http.Header
}

// receiver answers every request with this status and body, and tells what
// arrived.
func receiver(t *testing.T, status int, body string) (url string, arrivals <-chan arrival) {
	t.Helper()
	seen := make(chan arrival, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			sent = []byte(err.Error())
		}
		seen <- arrival{r.Method, r.RequestURI, string(sent), r.Header}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

func TestWebhookSends(t *testing.T) {
	url, arrivals := receiver(t, http.StatusCreated, "thanks")
	for _, test := range []struct {
		name, members, method, body, contentType string
	}{
		{"defaults", ``, "POST", "", ""},
		{"json", `,"body":{"a": 1}`, "POST", `{"a": 1}`, "application/json"},
		{"number", `,"body":7`, "POST", `7`, "application/json"},
		{"text", `,"body":"as is"`, "POST", "as is", ""},
		{"empty text", `,"body":""`, "POST", "", ""},
		{"null is absent", `,"body":null,"method":null,"headers":null`, "POST", "", ""},
		{"own type", `,"body":[],"headers":{"content-type":"application/x"}`, "POST", "[]", "application/x"},
		{"put", `,"method":"PUT","body":"x"`, "PUT", "x", ""},
		{"patch", `,"method":"PATCH"`, "PATCH", "", ""},
		{"delete", `,"method":"DELETE"`, "DELETE", "", ""},
		{"get", `,"method":"GET"`, "GET", "", ""},
	} {
		it, result, err := run(t, "webhook", `{"url":"`+url+`/in?q=1"`+test.members+`}`)
		require.NoError(t, err, test.name)
		require.Equal(t, map[string]any{"status": 201.0, "body": "thanks"}, result, test.name)
		got := <-arrivals
		require.Equal(t, test.method, got.method, test.name)
		require.Equal(t, "/in?q=1", got.uri, test.name)
		require.Equal(t, test.body, got.body, test.name)
		require.Equal(t, test.contentType, got.header.Get("Content-Type"), test.name)
		require.Equal(t, it.ID.String(), got.header.Get("X-Task-Id"), test.name)
		require.Equal(t, "3", got.header.Get("X-Task-Attempt"), test.name)
	}
}

func TestWebhookSendsHeaders(t *testing.T) {
	url, arrivals := receiver(t, http.StatusOK, "")
	_, _, err := run(t, "webhook", `{"url":"`+url+`","headers":{"authorization":"Bearer x","Idempotency-Key":"k","User-Agent":"me"}}`)
	require.NoError(t, err)
	got := <-arrivals
	require.Equal(t, "Bearer x", got.header.Get("Authorization"))
	require.Equal(t, "k", got.header.Get("Idempotency-Key"))
	require.Equal(t, "me", got.header.Get("User-Agent"))
}

func TestWebhookKeepsTheAnswerOfAFailure(t *testing.T) {
	for _, status := range []int{301, 307, 400, 404, 500} {
		url, arrivals := receiver(t, status, "why")
		_, result, err := run(t, "webhook", `{"url":"`+url+`"}`)
		require.ErrorContains(t, err, "status")
		require.Equal(t, map[string]any{"status": float64(status), "body": "why"}, result)
		<-arrivals
		require.Empty(t, arrivals, "a redirect was followed")
	}
}

func TestWebhookKeepsTextThatPostgresHolds(t *testing.T) {
	const limit = 64 << 10
	for _, test := range []struct {
		name, body, want string
		truncated        bool
	}{
		{"nul and invalid", "a\x00b\xffc", "a\uFFFDb\uFFFDc", false},
		{"at the limit", strings.Repeat("x", limit), strings.Repeat("x", limit), false},
		{"over the limit", strings.Repeat("x", limit+1), strings.Repeat("x", limit), true},
		{"cut in a character", strings.Repeat("x", limit-1) + "é", strings.Repeat("x", limit-1), true},
		{"cut after a character", strings.Repeat("x", limit-2) + "éy", strings.Repeat("x", limit-2) + "é", true},
	} {
		url, _ := receiver(t, http.StatusOK, test.body)
		_, result, err := run(t, "webhook", `{"url":"`+url+`"}`)
		require.NoError(t, err, test.name)
		require.Equal(t, test.want, result["body"], test.name)
		require.Equal(t, test.truncated, result["truncated"] == true, test.name)
	}
}

func TestWebhookIsDoneThoughTheBodyBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "some")
	}))
	defer server.Close()
	_, result, err := run(t, "webhook", `{"url":"`+server.URL+`"}`)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"status": 200.0, "body": "some", "truncated": true, "body_error": "unexpected EOF"}, result)
}

func TestWebhookListsEveryProblem(t *testing.T) {
	r := registry(nil, tasktype.Options{})
	fields := func(payload string) []string {
		var names []string
		for _, problem := range r.Validate(task.Type{Name: "webhook"}, json.RawMessage(payload)) {
			require.NotEmpty(t, problem.Message)
			names = append(names, problem.Field)
		}
		slices.Sort(names)
		return names
	}
	require.Empty(t, fields(`{"url":"https://example.com/hook"}`))
	require.Equal(t, []string{"payload"}, fields(`[]`))
	require.Equal(t, []string{"payload.url"}, fields(``))
	require.Equal(t,
		[]string{"payload.headers", "payload.method", "payload.retries", "payload.url"},
		fields(`{"method":"post","url":"file:///etc/passwd","headers":[],"retries":3}`))
	require.Equal(t,
		[]string{
			"payload.headers.", "payload.headers.Bad Name", "payload.headers.Host", "payload.headers.Nul",
			"payload.headers.Number", "payload.headers.Split", "payload.headers.connection",
			"payload.headers.content-length", "payload.headers.te", "payload.headers.transfer-encoding",
			"payload.headers.x-a", "payload.headers.x-task-id",
		},
		fields(`{"url":"http://example.com","headers":{"Host":"x","content-length":"1","connection":"close","te":"x",
			"transfer-encoding":"chunked","x-task-id":"1","Bad Name":"x","":"x","Split":"a\r\nB: c","Nul":null,"Number":1,
			"X-A":"first","x-a":"second"}}`))
}

func FuzzWebhookPayload(f *testing.F) {
	f.Add([]byte(`{"url":"http://example.com/","method":"PUT","headers":{"A":"b"},"body":{"x":[1,null]}}`))
	f.Add([]byte(`{"url":"http://[::1%25eth0]:80/?#","headers":{"\u0000":"\n"}}`))
	f.Add([]byte(`null`))
	r := tasktype.New(tasktype.Options{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, problem := range r.Validate(task.Type{Name: "webhook"}, payload) {
			require.True(t, strings.HasPrefix(problem.Field, "payload"), problem.Field)
			require.True(t, utf8.ValidString(problem.Field))
			require.NotEmpty(t, problem.Message)
		}
	})
}
