package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestMergePatch(t *testing.T) {
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":{"b":1,"c":2},"l":[1,null]}`, `{"a":{"b":null}}`, `{"a":{"c":2},"l":[1,null]}`},
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b",null]}`, `{"a":["b",null]}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{``, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"a":1}`, `{"a":{"b":2,"c":null}}`, `{"a":{"b":2}}`},
		// What is not named keeps its text.
		{`{ "n" : 1.10000000000000000001e+2, "m":-0.0 }`, `{"x":12345678901234567890}`, `{"n":1.10000000000000000001e+2,"m":-0.0,"x":12345678901234567890}`},
		// A name is the same however it is escaped, and of the same names the last one counts.
		{`{"a":1,"\u0061":2,"b":3}`, `{"a":{"x":1}}`, `{"\u0061":{"x":1},"b":3}`},
		{`{"a":1,"a":{"y":1}}`, `{"\u0061":0,"a":{"x":1}}`, `{"a":{"y":1,"x":1}}`},
		{`{"a":1,"a":2}`, `{"b":null}`, `{"a":1,"a":2}`},
	} {
		require.Equal(t, c.want, httpapi.MergePatch(c.target, c.patch), c.patch)
	}
}

// changeable is a service with one task, of type foo.
func changeable(t *testing.T) (s *service, path string) {
	t.Helper()
	s = newService(t)
	created := s.do(t, "POST", "/task", `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z","payload":{"a":{"b":1,"c":2},"n":1.50},"max_attempts":2}`)
	require.Equal(t, 201, created.Code)
	return s, created.Header().Get("Location")
}

func TestChange(t *testing.T) {
	s, path := changeable(t)
	before := s.do(t, "GET", path, "")
	a := s.do(t, "PATCH", path, `{"execution_time":"2031-01-02T15:04:05.0000001Z","payload":{"a":{"b":null}},"max_attempts":3}`)
	require.Equal(t, 200, a.Code, a.Body.String())
	require.Equal(t, "2031-01-02T15:04:05.000001Z", a.body["execution_time"])
	require.Equal(t, "2031-01-02T15:04:05.000001Z", a.body["due_at"])
	require.InDelta(t, 3, a.body["max_attempts"], 0)
	require.Contains(t, a.Body.String(), `"payload":{"a":{"c":2},"n":1.50}`)

	after := s.do(t, "GET", path, "")
	require.Equal(t, a.body, after.body)
	require.Equal(t, a.Header().Get("ETag"), after.Header().Get("ETag"))
	require.NotEqual(t, before.Header().Get("ETag"), after.Header().Get("ETag"))
	require.Regexp(t, `^"[^"]+"$`, after.Header().Get("ETag"))

	require.Equal(t, after.body, s.do(t, "PATCH", path, `{}`).body)
	require.NotContains(t, s.do(t, "PATCH", path, `{"payload":null}`).body, "payload")
	require.Contains(t, s.do(t, "PATCH", path, `{"payload":{"z":{"x":null}}}`).Body.String(), `"payload":{"z":{}}`)
	require.Equal(t, 200, s.do(t, "PATCH", path, `{}`, "Content-Type", "", "Content-Type", "application/merge-patch+json; charset=UTF-8").Code)
}

func TestChangeIsGuardedByIfMatch(t *testing.T) {
	s, path := changeable(t)
	patch := `{"max_attempts":3}`
	stale := s.do(t, "GET", path, "").Header().Get("ETag")
	require.Equal(t, 200, s.do(t, "PATCH", path, patch, "If-Match", `"zzz", `+stale).Code)
	tag := s.do(t, "GET", path, "").Header().Get("ETag")
	for _, other := range []string{stale, "W/" + tag, `"zzz"`, `""`, `W/` + tag + `, "a,b"`} {
		a := s.do(t, "PATCH", path, `{"max_attempts":4}`, "If-Match", other)
		requireProblem(t, a, 412, "precondition_failed")
		require.Equal(t, tag, s.do(t, "GET", path, "").Header().Get("ETag"), "nothing is changed")
	}
	for _, same := range []string{tag, "*", ` "a,b" ,W/"x",` + tag} {
		require.Equal(t, 200, s.do(t, "PATCH", path, patch, "If-Match", same).Code, same)
	}
	require.Equal(t, 200, s.do(t, "PATCH", path, patch, "If-Match", `"x"`, "If-Match", tag).Code)
	for _, bad := range []string{"zzz", `"zzz`, `W/`, ",", `*, "a"`, tag + tag} {
		a := s.do(t, "PATCH", path, patch, "If-Match", bad)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, []string{"If-Match"}, a.fields(), bad)
	}
}

func TestChangeIsRefused(t *testing.T) {
	s, path := changeable(t)
	tag := s.do(t, "GET", path, "").Header().Get("ETag")
	for body, fields := range map[string][]string{
		`{"execution-time":"2031-01-02T15:04:05Z"}`:   {"execution-time"},
		`{"task_type":"baz"}`:                         {"task_type"},
		`{"task_id":"x","status":null,"due_at":null}`: {"task_id", "status", "due_at"},
		`{"execution_time":null}`:                     {"execution_time"},
		`{"execution_time":"2031-01-02"}`:             {"execution_time"},
		`{"max_attempts":null}`:                       {"max_attempts"},
		`{"max_attempts":0}`:                          {"max_attempts"},
		`{"max_attempts":101}`:                        {"max_attempts"},
		`{"payload":[]}`:                              {"payload"},
		`{"payload":{"a":"\u0000"}}`:                  {"payload"},
		`{"payload":{"a":"\ud800"}}`:                  {"payload"},
		`{"payload":{"a":1e309}}`:                     {"payload"},
		`{"payload":` + strings.Repeat(`{"a":`, 64) + `{}` + strings.Repeat(`}`, 65): {"payload"},
		`[]`: {"body"}, `null`: {"body"}, `"x"`: {"body"},
	} {
		a := s.do(t, "PATCH", path, body)
		requireProblem(t, a, 422, "invalid")
		require.ElementsMatch(t, fields, a.fields(), body)
	}
	requireProblem(t, s.do(t, "PATCH", path, `{`), 400, "malformed_json")
	requireProblem(t, s.do(t, "PATCH", path, ``), 400, "malformed_json")
	requireProblem(t, s.do(t, "PATCH", "/task/x", `{}`), 400, "invalid_id")
	requireProblem(t, s.do(t, "PATCH", "/task/"+uuid.NewString(), `{}`), 404, "not_found")
	for _, kind := range []string{"application/json", "text/plain", "application/json-patch+json"} {
		requireProblem(t, s.do(t, "PATCH", path, `{"max_attempts":3}`, "Content-Type", "", "Content-Type", kind), 415, "unsupported_media_type")
	}
	requireProblem(t, s.do(t, "PATCH", path, `{"payload":{"a":"`+strings.Repeat("x", task.MaxPayload)+`"}}`), 413, "body_too_large")
	require.Equal(t, tag, s.do(t, "GET", path, "").Header().Get("ETag"), "nothing is changed")

	s.tasks[0].Attempt = 2
	require.Equal(t, []string{"max_attempts"}, s.do(t, "PATCH", path, `{"max_attempts":2}`).fields())
	s.tasks[0].Status = task.Started
	a := s.do(t, "PATCH", path, `{"max_attempts":9}`)
	requireProblem(t, a, 409, "conflict")
	require.Equal(t, "started_executing", a.body["task_status"])
}

// What a patch makes of the payload has to be what its type asks for, and small enough.
func TestTheResultOfAChangeIsChecked(t *testing.T) {
	s := newService(t)
	path := s.do(t, "POST", "/task", `{"task_type":"bar","execution_time":"2030-01-02T15:04:05Z","payload":{"url":1}}`).Header().Get("Location")
	for _, body := range []string{`{"payload":{"url":null}}`, `{"payload":null}`} {
		require.Equal(t, []string{"payload.url"}, s.do(t, "PATCH", path, body).fields())
	}
	half, err := json.Marshal(strings.Repeat("x", task.MaxPayload/2))
	require.NoError(t, err)
	require.Equal(t, 200, s.do(t, "PATCH", path, `{"payload":{"a":`+string(half)+`}}`).Code)
	require.Equal(t, []string{"payload"}, s.do(t, "PATCH", path, `{"payload":{"b":`+string(half)+`}}`).fields())
}
