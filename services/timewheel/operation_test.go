package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an operation is sent as.
func TestOperationsAreSent(t *testing.T) {
	var sent atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		sent.Store(r.Method + " " + r.URL.Path + " " + string(body))
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"operation_id": "op", "state": "running"}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"task", "delete", "--type", "foo"}, `{"action":"delete","filter":{"type":"foo"}}`},
		{[]string{"task", "cancel", "--all"}, `{"action":"cancel","filter":{},"all":true}`},
		{[]string{"task", "retry", "--status", "failed", "--dry-run"}, `{"action":"retry","filter":{"status":"failed"},"dry_run":true}`},
		{
			[]string{"task", "run", "--label", "a:b", "--label", "c:d:e"},
			`{"action":"run","filter":{"label":["a:b","c:d:e"]}}`,
		},
		{
			[]string{"task", "move", "--type", "foo", "--due-before", "2030-01-01T00:00:00+02:00", "--by", "-30m"},
			`{"action":"reschedule","filter":{"type":"foo","due_before":"2030-01-01T00:00:00+02:00"},"shift":"-30m"}`,
		},
		{
			[]string{"op", "create", "reschedule", "--type", "foo", "--to", "2030-01-01T00:00:00Z"},
			`{"action":"reschedule","filter":{"type":"foo"},"execution_time":"2030-01-01T00:00:00Z"}`,
		},
	} {
		environ := map[string]string{"TIMEWHEEL_URL": server.URL}
		code, _, errOut := runHere(t, environ, append(c.args, "--yes")...)
		require.Zero(t, code, errOut)
		require.Equal(t, "POST /operation "+c.want, sent.Load())
	}
}

func TestAnOperationIsWaitedFor(t *testing.T) {
	var looks atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, n := "running", int32(0)
		if r.Method == http.MethodGet {
			n = looks.Add(1)
		}
		if n == 3 {
			state = "done"
		}
		fmt.Fprintf(w, `{"operation_id": "op", "state": %q, "done": %d}`, state, n)
	}))
	defer server.Close()
	code, out, errOut := runHere(t, map[string]string{"TIMEWHEEL_URL": server.URL}, "task", "run", "--all", "--yes", "--wait", "-o", "json")
	require.Zero(t, code, errOut)
	require.JSONEq(t, `{"operation_id": "op", "state": "done", "done": 3}`, out)
	require.Empty(t, errOut)
}

// An operation that is waited for and does not come to its end is a failure.
func TestAnOperationThatIsStopped(t *testing.T) {
	url := answers(t, 200, "application/json", `{"operation_id": "op", "state": "stopped"}`)
	code, _, errOut := runHere(t, map[string]string{"TIMEWHEEL_URL": url}, "task", "run", "--all", "--yes", "--wait")
	require.Equal(t, exitFailure, code)
	require.Contains(t, errOut, "stopped")
}
