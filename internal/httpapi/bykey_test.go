package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func (s *service) put(t *testing.T, target, body string, headers ...string) answer {
	t.Helper()
	return s.do(t, "PUT", target, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

func TestPutByKey(t *testing.T) {
	s := newService(t)
	first := s.put(t, "/task/by-key/order-42", `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"n":1.50},"max_attempts":3}`)
	require.Equal(t, 201, first.Code, first.Body.String())
	require.Equal(t, "/task/"+first.body["task_id"].(string), first.Header().Get("Location"))
	require.Contains(t, first.Body.String(), `"payload":{"n":1.50}`)

	second := s.put(t, "/task/by-key/order-42", `{"task_type":"foo","execution_time":"2031-01-02T15:04:05.0000001Z"}`)
	require.Equal(t, 200, second.Code)
	require.Equal(t, first.body["task_id"], second.body["task_id"])
	require.Equal(t, "2031-01-02T15:04:05.000001Z", second.body["due_at"])
	require.NotContains(t, second.body, "payload", "what is not named has its default")
	require.InDelta(t, 1, second.body["max_attempts"], 0)
	require.Empty(t, second.Header().Get("Location"))

	got := s.do(t, "GET", "/task/by-key/order-42", "")
	require.Equal(t, second.body, got.body)
	require.Equal(t, second.Header().Get("ETag"), got.Header().Get("ETag"))

	s.tasks[0].Status = task.Started
	a := s.put(t, "/task/by-key/order-42", good)
	requireProblem(t, a, 409, "conflict")
	require.Equal(t, "started_executing", a.body["task_status"])
	a = s.do(t, "DELETE", "/task/by-key/order-42", "")
	requireProblem(t, a, 409, "conflict")
	require.Equal(t, "started_executing", a.body["task_status"])

	s.tasks[0].Status = task.Done
	again := s.put(t, "/task/by-key/order-42", good)
	require.Equal(t, 201, again.Code)
	require.NotEqual(t, first.body["task_id"], again.body["task_id"])
	for range 2 {
		a = s.do(t, "DELETE", "/task/by-key/order-42", "")
		require.Equal(t, 200, a.Code)
		require.Equal(t, again.body["task_id"], a.body["task_id"])
	}
	requireProblem(t, s.do(t, "GET", "/task/by-key/nobody", ""), 404, "not_found")
	requireProblem(t, s.do(t, "DELETE", "/task/by-key/nobody", ""), 404, "not_found")
}

func TestPutByKeyIsGuarded(t *testing.T) {
	s := newService(t)
	path := "/task/by-key/k"
	requireProblem(t, s.put(t, path, good, "If-Match", "*"), 412, "precondition_failed")
	require.Empty(t, s.tasks)
	tag := s.put(t, path, good, "If-None-Match", "*").Header().Get("ETag")
	requireProblem(t, s.put(t, path, good, "If-None-Match", "*"), 412, "precondition_failed")
	requireProblem(t, s.put(t, path, good, "If-Match", `"zzz"`), 412, "precondition_failed")
	require.Equal(t, 200, s.put(t, path, `{"task_type":"foo","execution_time":"2031-01-02T15:04:05Z"}`, "If-Match", tag).Code)
	requireProblem(t, s.put(t, path, good, "If-Match", tag), 412, "precondition_failed")
	require.Equal(t, []string{"If-None-Match"}, s.put(t, path, good, "If-None-Match", tag).fields())
	require.Equal(t, []string{"Idempotency-Key"}, s.put(t, path, good, "Idempotency-Key", "k").fields())
}

// A key is what the path says, however a slash is written.
func TestKeysInPaths(t *testing.T) {
	s := newService(t)
	for path, key := range map[string]string{
		"a/b": "a/b", "a%2Fb2": "a/b2", "a%2fb3": "a/b3", "a//b": "a//b", "a/../b": "a/../b", "%2e%2E": "..", "a/": "a/", "%2Fa": "/a", "/b": "/b",
		"a%25b": "a%b", "a+b": "a+b", "a%3Fb%23": "a?b#", ":id": ":id", "*": "*",
		strings.Repeat("k", 255): strings.Repeat("k", 255),
	} {
		a := s.put(t, "/task/by-key/"+path, good)
		require.Equal(t, 201, a.Code, path)
		require.Equal(t, a.body["task_id"], s.keys[key].ID.String(), path)
		require.Equal(t, 200, s.do(t, "GET", "/task/by-key/"+path, "").Code, path)
		require.Equal(t, 200, s.do(t, "DELETE", "/task/by-key/"+path, "").Code, path)
	}
	made := len(s.tasks)
	for _, path := range []string{"", "a%00b", "%20", "a%0Ab", "%C3%A9", "%FF", "a%7F", strings.Repeat("k", 256)} {
		for _, method := range []string{"PUT", "GET", "DELETE"} {
			a := s.do(t, method, "/task/by-key/"+path, good, "Content-Type", "", "Content-Type", "application/json")
			requireProblem(t, a, 422, "invalid")
			require.Equal(t, []string{"key"}, a.fields(), "%s %s", method, path)
		}
	}
	// What timewheel makes itself is read and deleted, but not put.
	for _, key := range []string{"schedule/daily/2030-01-02T15:04:05Z", "on_end/0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"} {
		for _, path := range []string{key, strings.ReplaceAll(key, "/", "%2F")} {
			require.Equal(t, []string{"key"}, s.put(t, "/task/by-key/"+path, good).fields())
			requireProblem(t, s.do(t, "GET", "/task/by-key/"+path, ""), 404, "not_found")
			requireProblem(t, s.do(t, "DELETE", "/task/by-key/"+path, ""), 404, "not_found")
		}
	}
	require.Len(t, s.tasks, made)
}

// The server itself refuses what is no path.
func TestBadEscapesInPaths(t *testing.T) {
	s := newService(t)
	server := httptest.NewServer(s)
	defer server.Close()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	request.URL.Opaque = "/task/by-key/a%zz"
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 400, response.StatusCode)
}

func TestPutByKeyIsRefused(t *testing.T) {
	s := newService(t)
	path := "/task/by-key/k"
	require.ElementsMatch(t, []string{"task_type", "execution_time", "key"}, s.put(t, "/task/by-key/%20", `{}`).fields())
	require.Equal(t, []string{"task_type"}, s.put(t, path, `{"task_type":"nobody","execution_time":"2030-01-02T15:04:05Z"}`).fields())
	require.Equal(t, []string{"key"}, s.put(t, path, `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","key":"k"}`).fields())
	require.Equal(t, []string{"payload"}, s.put(t, path, `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"a":"\u0000"}}`).fields())
	requireProblem(t, s.put(t, path, `{`), 400, "malformed_json")
	requireProblem(t, s.put(t, path, good, "Content-Type", "", "Content-Type", "text/plain"), 415, "unsupported_media_type")
	requireProblem(t, s.put(t, path, `{"payload":{"a":"`+strings.Repeat("x", task.MaxPayload)+`"}}`), 413, "body_too_large")
	requireProblem(t, s.do(t, "GET", "/task/by-key", ""), 400, "invalid_id")
	require.Empty(t, s.tasks)
}

// A key that is bound to types sees the tasks of names like any others, and replaces none by one
// of another type.
func TestABoundKeySeesTasksOfItsTypesByKey(t *testing.T) {
	s, b := keyed(t, func(o *httpapi.Options) { o.Types = httpapi.Declared{"billing.send", "foo"} })
	_, all := b.make(everything)
	_, mine := b.make(access.Read|access.Change, "billing.")
	of := func(text string) []string { return append(bearer(text), "Content-Type", "application/json") }
	own := strings.Replace(good, "foo", "billing.send", 1)
	foreign := s.do(t, "PUT", "/task/by-key/k", good, of(all)...)
	require.Equal(t, 201, foreign.Code, foreign.Body.String())
	for _, method := range []string{"GET", "DELETE"} {
		requireProblem(t, s.do(t, method, "/task/by-key/k", "", bearer(mine)...), 404, "not_found")
	}
	requireProblem(t, s.do(t, "PUT", "/task/by-key/k", own, of(mine)...), 404, "not_found")
	require.Equal(t, []string{"task_type"}, s.do(t, "PUT", "/task/by-key/other", good, of(mine)...).fields())
	require.Equal(t, foreign.body, s.do(t, "GET", "/task/by-key/k", "", bearer(all)...).body, "nothing is changed")

	require.Equal(t, 201, s.do(t, "PUT", "/task/by-key/mine", own, of(mine)...).Code)
	require.Equal(t, []string{"task_type"}, s.do(t, "PUT", "/task/by-key/mine", good, of(mine)...).fields())
	require.Equal(t, 200, s.do(t, "GET", "/task/by-key/mine", "", bearer(mine)...).Code)
	require.Equal(t, 200, s.do(t, "DELETE", "/task/by-key/mine", "", bearer(mine)...).Code)
}
