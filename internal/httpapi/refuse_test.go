package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
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
	require.Equal(t, []string{"b", "a", "task_type", "execution_time", "max_attempts", "payload", "Idempotency-Key"}, a.fields())

	for body, fields := range map[string][]string{
		`{}`:                                 {"task_type", "execution_time"},
		`[]`:                                 {"body"},
		`null`:                               {"body"},
		`"foo"`:                              {"body"},
		`{"task_type":null,"Task_Type":"x"}`: {"Task_Type", "task_type", "execution_time"},
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
		{"POST", "/task/x", "PATCH, GET, HEAD, DELETE"},
		{"PUT", "/task/x", "PATCH, GET, HEAD, DELETE"},
		{"POST", "/livez", "GET, HEAD"},
		{"DELETE", "/openapi.json", "GET, HEAD"},
	} {
		a := s.do(t, test.method, test.path, "")
		requireProblem(t, a, 405, "method_not_allowed")
		require.Equal(t, test.allow, a.Header().Get("Allow"), test.method+" "+test.path)
	}
}
