package client_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

// What is sent arrives byte by byte, and what is answered comes back so.
func TestSend(t *testing.T) {
	const text = `{ "n": 12345678901234567890.10, "html": "<&>" }`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.RequestURI() != "/under/type/a%2Fb?x=y" || r.Header.Get("X-Own") != "1" ||
			r.Header.Get("Authorization") != "Bearer tw_k" || r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	c, err := client.New(server.URL+"/under", client.WithKey("tw_k"))
	require.NoError(t, err)
	request := client.Request{
		Method: http.MethodPut, Path: "type/a%2Fb", Query: map[string][]string{"x": {"y"}},
		Header: http.Header{"X-Own": {"1"}}, Body: []byte(text),
	}
	for range 2 { // a request may be sent again
		answer, err := c.Send(t.Context(), request)
		require.NoError(t, err)
		require.True(t, bytes.Equal([]byte(text), answer), "%s", answer)
	}
	request.Body = []byte("<html>")
	_, err = c.Send(t.Context(), request)
	require.ErrorAs(t, err, new(*json.SyntaxError))
	request.Header = nil
	_, err = c.Send(t.Context(), request)
	require.Equal(t, http.StatusTeapot, problem(t, err).Status)
}
