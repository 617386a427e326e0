package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestMalformedBodies(t *testing.T) {
	s := newService(t)
	for name, body := range map[string]string{
		"empty": "", "blank": " \n", "broken": `{"task_type":`, "trailing value": good + `{}`, "trailing text": good + ` x`,
		"not json": "task_type=foo", "single quotes": `{'a':1}`, "invalid utf-8": "{\"task_type\":\"\xff\"}",
		"control character": "{\"task_type\":\"a\x00\"}", "byte order mark": "\uFEFF" + good, "comment": good + "//",
		"broken array": "[", "deep": strings.Repeat("[", 100_000),
	} {
		t.Run(name, func(t *testing.T) { requireProblem(t, s.do(t, "POST", "/task", body), 400, "malformed_json") })
	}
	require.Equal(t, 201, s.do(t, "POST", "/task", "\r\n\t "+good+" \n").Code)
}

func TestMediaTypes(t *testing.T) {
	s := newService(t)
	for _, fine := range []string{"application/json; charset=utf-8", "Application/JSON", `application/json;charset="UTF-8"`} {
		require.Equal(t, 201, s.do(t, "POST", "/task", good, "Content-Type", "", "Content-Type", fine).Code, fine)
	}
	for _, bad := range []string{"", "text/plain", "application/jsonx", "application/json; charset=latin1", "application/x-www-form-urlencoded", ";"} {
		requireProblem(t, s.do(t, "POST", "/task", good, "Content-Type", "", "Content-Type", bad), 415, "unsupported_media_type")
	}
	requireProblem(t, s.do(t, "POST", "/task", good, "Content-Encoding", "gzip"), 415, "unsupported_media_type")
}

func TestBodySize(t *testing.T) {
	s := newService(t)
	body := func(size int) string {
		frame := `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"x":""}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	require.Equal(t, 201, s.do(t, "POST", "/task", body(256<<10)).Code)
	requireProblem(t, s.do(t, "POST", "/task", body(256<<10+1)), 413, "body_too_large")

	chunked := func(size int) answer {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task", io.MultiReader(strings.NewReader(body(size))))
		require.EqualValues(t, -1, request.ContentLength)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		return answer{ResponseRecorder: recorder}
	}
	require.Equal(t, 201, chunked(256<<10).Code)
	require.Equal(t, 413, chunked(256<<10+1).Code)
}

func TestEveryBadFieldIsListed(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task", `{"task_type":"qux","execution_time":"soon","payload":[],"max_attempts":101,"b":1,"a":null}`,
		"Idempotency-Key", "has space")
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"task_type", "execution_time", "payload", "max_attempts", "Idempotency-Key", "a", "b"}, a.fields())

	for body, fields := range map[string][]string{
		`{}`:                                 {"task_type", "execution_time"},
		`[]`:                                 {"body"},
		`null`:                               {"body"},
		`"foo"`:                              {"body"},
		`{"task_type":null,"Task_Type":"x"}`: {"task_type", "execution_time", "Task_Type"},
		`{"task_type":"","execution_time":"2030-01-02T15:04:05Z"}`:                                            {"task_type"},
		`{"task_type":"FOO","execution_time":"2030-01-02T15:04:05Z"}`:                                         {"task_type"},
		`{"task_type":"foo\u0000","execution_time":"2030-01-02T15:04:05Z"}`:                                   {"task_type"},
		`{"task_type":["foo"],"execution_time":1893596645}`:                                                   {"task_type", "execution_time"},
		`{"task_type":"bar","execution_time":"2030-01-02T15:04:05Z"}`:                                         {"payload.url"},
		`{"task_type":"bar","execution_time":"x","payload":{}}`:                                               {"execution_time", "payload.url"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","max_attempts":0}`:                        {"max_attempts"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","max_attempts":-1}`:                       {"max_attempts"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","max_attempts":1.5}`:                      {"max_attempts"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","max_attempts":"1"}`:                      {"max_attempts"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","max_attempts":99999999999999999999}`:     {"max_attempts"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":"x"}`:                           {"payload"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"a":"\u0000"}}`:                {"payload"},
		`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","` + strings.Repeat("n", 300) + `":true}`: {strings.Repeat("n", 64) + "..."},
	} {
		a := s.do(t, "POST", "/task", body)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, fields, a.fields(), body)
	}
	require.Empty(t, s.tasks)
}

func TestALongListOfFaultsIsCut(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z"`)
	for i := range 5000 {
		fmt.Fprintf(&body, `,"x%d":1`, i)
	}
	a := newService(t).do(t, "POST", "/task", body.String()+"}")
	requireProblem(t, a, 422, "invalid")
	require.Len(t, a.fields(), 101)
	require.Contains(t, a.Body.String(), "and 4900 more faults")
}

func TestOptionalFieldsMayBeNullOrAbsent(t *testing.T) {
	s := newService(t)
	require.Equal(t, 201, s.do(t, "POST", "/task", `{"payload":null,"task_type":"foo","execution_time":"2030-01-02T15:04:05Z"}`).Code)
	require.Equal(t, 201, s.do(t, "POST", "/task", `{"payload":{},"task_type":"foo","execution_time":"2030-01-02T15:04:05Z"}`).Code)
	require.Nil(t, s.tasks[0].Payload)
	require.Equal(t, "{}", string(s.tasks[1].Payload))
	require.Equal(t, 1, s.tasks[0].MaxAttempts)
}

func TestBadIDs(t *testing.T) {
	s := newService(t)
	for _, id := range []string{
		"x", "0199d2c4", "0199d2c47c1e7b7e9f5a2d1c8f0e4b6a", "%7B0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a%7D",
		"urn:uuid:0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a", "0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6g", "%00", "%FF",
		"0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a%20", strings.Repeat("a", 5000),
	} {
		requireProblem(t, s.do(t, "GET", "/task/"+id, ""), 400, "invalid_id")
		requireProblem(t, s.do(t, "DELETE", "/task/"+id, ""), 400, "invalid_id")
	}
	requireProblem(t, s.do(t, "GET", "/task/"+uuid.NewString(), ""), 404, "not_found")
	requireProblem(t, s.do(t, "DELETE", "/task/"+uuid.NewString(), ""), 404, "not_found")
}

func TestRoutesAndMethods(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/", "/tasks", "/task/", "/Task", "/task/a/b", "/docs", "/schemas/Task.json", "//task", "/metrics/"} {
		requireProblem(t, s.do(t, "GET", path, ""), 404, "no_such_route")
	}
	for _, test := range []struct{ method, path, allow string }{
		{"PUT", "/task", "POST, GET, HEAD"},
		{"DELETE", "/task", "POST, GET, HEAD"},
		{"OPTIONS", "/task", "POST, GET, HEAD"},
		{"BREW", "/task", "POST, GET, HEAD"},
		{"POST", "/task/x", "GET, HEAD, DELETE"},
		{"PATCH", "/task/x", "GET, HEAD, DELETE"},
		{"POST", "/livez", "GET, HEAD"},
		{"DELETE", "/openapi.json", "GET, HEAD"},
	} {
		a := s.do(t, test.method, test.path, "")
		requireProblem(t, a, 405, "method_not_allowed")
		require.Equal(t, test.allow, a.Header().Get("Allow"), test.method+" "+test.path)
	}
}

func TestErrorsOfTheStore(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		code   string
		logged bool
	}{
		{fmt.Errorf("create task: %w", task.ErrUnavailable), 503, "unavailable", false},
		{fmt.Errorf("create task: %w", task.ErrUnknownOutcome), 503, "outcome_unknown", false},
		{fmt.Errorf("create task: %w", &task.RejectedError{Reason: "numeric overflow"}), 422, "rejected_by_store", false},
		{errors.New("SELECT secret FROM hunter2"), 500, "internal", true},
	} {
		s := newService(t)
		s.fail = func(context.Context) error { return test.err }
		a := s.do(t, "POST", "/task", good, "X-Request-Id", "mine-7")
		requireProblem(t, a, test.status, test.code)
		require.Equal(t, "mine-7", a.body["request_id"])
		require.NotContains(t, a.Body.String(), "hunter2")
		require.Equal(t, test.logged, strings.Contains(s.log.String(), "mine-7"), s.log.String())
		if test.status == 503 {
			s.fail = func(context.Context) error { return task.ErrUnavailable }
			requireProblem(t, s.do(t, "GET", "/task", ""), 503, "unavailable")
			requireProblem(t, s.do(t, "GET", "/task/"+uuid.NewString(), ""), 503, "unavailable")
			requireProblem(t, s.do(t, "DELETE", "/task/"+uuid.NewString(), ""), 503, "unavailable")
		}
	}
}

func TestAPanicIsAnswered(t *testing.T) {
	s := newService(t)
	s.fail = func(context.Context) error { panic("hunter2") }
	a := s.do(t, "POST", "/task", good)
	requireProblem(t, a, 500, "internal")
	require.NotContains(t, a.Body.String(), "hunter2")
	require.Contains(t, s.log.String(), a.Header().Get("X-Request-Id"))
	require.Contains(t, s.log.String(), "hunter2")
	s.fail = nil
	for range 20 { // the slots of the panicked requests were given back
		require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
	}
}

func TestRequestID(t *testing.T) {
	s := newService(t)
	require.Equal(t, "a.b-c", s.do(t, "GET", "/livez", "", "X-Request-Id", "a.b-c").Header().Get("X-Request-Id"))
	for _, bad := range []string{"two words", "line\nbreak", strings.Repeat("x", 129), "é"} {
		made := s.do(t, "GET", "/livez", "", "X-Request-Id", bad).Header().Get("X-Request-Id")
		require.NotEqual(t, bad, made)
		require.Regexp(t, `^[A-Z2-7]{26}$`, made)
	}
}

func TestOverload(t *testing.T) {
	s := newService(t, func(o *httpapi.Options) { o.MaxInFlight = 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	s.fail = func(context.Context) error {
		close(entered)
		<-release
		return nil
	}
	ended := make(chan int, 1)
	go func() {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task", strings.NewReader(good))
		request.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(recorder, request)
		ended <- recorder.Code
	}()
	<-entered
	requireProblem(t, s.do(t, "POST", "/task", good), 429, "overloaded")
	requireProblem(t, s.do(t, "GET", "/task", ""), 429, "overloaded")
	require.Equal(t, 200, s.do(t, "GET", "/livez", "").Code)
	require.Equal(t, 200, s.do(t, "GET", "/metrics", "").Code)
	close(release)
	require.Equal(t, 201, <-ended)
	s.fail = nil
	require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
}

func TestAClientThatLeaves(t *testing.T) {
	s := newService(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.fail = func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	}
	send := func(method, path, body string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(recorder, request)
		return recorder.Code
	}
	require.Equal(t, 201, send("POST", "/task", good), "a create that was read is carried out")
	require.Len(t, s.tasks, 1)
	require.Equal(t, 499, send("GET", "/task", ""))
	require.Empty(t, s.log.String())
}

func TestHealthAndMetrics(t *testing.T) {
	ready := false
	s := newService(t, func(o *httpapi.Options) {
		o.Ready = func(context.Context) (map[string]string, bool) {
			return map[string]string{"postgres": "unreachable", "redis": "ok"}, ready
		}
	})
	a := s.do(t, "GET", "/readyz", "")
	require.Equal(t, 503, a.Code)
	require.Equal(t, map[string]any{"status": "unavailable", "checks": map[string]any{"postgres": "unreachable", "redis": "ok"}}, a.body)
	ready = true
	require.Equal(t, 200, s.do(t, "GET", "/readyz", "").Code)
	require.Equal(t, 200, s.do(t, "GET", "/livez", "").Code)

	s.do(t, "POST", "/task", good)
	s.do(t, "BREW", "/nowhere", "")
	metrics := s.do(t, "GET", "/metrics", "").Body.String()
	require.Contains(t, metrics, `timewheel_http_request_duration_seconds_count{code="201",method="POST",route="/task"} 1`)
	require.Contains(t, metrics, `timewheel_http_request_duration_seconds_count{code="404",method="other",route="none"} 1`)
}
