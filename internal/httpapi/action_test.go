package httpapi_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func TestRun(t *testing.T) {
	s, path := changeable(t)
	stale := s.do(t, "GET", path, "").Header().Get("ETag")
	requireProblem(t, s.do(t, "POST", path+"/run", "", "If-Match", `"zzz"`), 412, "precondition_failed")
	a := s.do(t, "POST", path+"/run", "", "If-Match", stale)
	require.Equal(t, 200, a.Code, a.Body.String())
	require.Equal(t, "2027-01-15T08:00:00.000000Z", a.body["execution_time"])
	require.Equal(t, a.body["execution_time"], a.body["due_at"])
	require.Equal(t, a.Header().Get("ETag"), s.do(t, "GET", path, "").Header().Get("ETag"))
	require.Equal(t, 200, s.do(t, "POST", path+"/run", "").Code)
	requireProblem(t, s.do(t, "POST", path+"/run", "", "If-Match", stale), 412, "precondition_failed")
	for _, status := range []task.Status{task.Started, task.Done, task.Failed, task.Deleted} {
		s.tasks[0].Status = status
		a := s.do(t, "POST", path+"/run", "")
		requireProblem(t, a, 409, "conflict")
		require.Equal(t, string(status), a.body["task_status"])
	}
}

func TestCancel(t *testing.T) {
	s, path := changeable(t)
	s.tasks[0].Status = task.Started
	a := s.do(t, "POST", path+"/cancel", "")
	require.Equal(t, 202, a.Code, a.Body.String())
	require.Equal(t, "2027-01-15T08:00:00.000000Z", a.body["cancel_requested_at"])
	require.NotEmpty(t, a.Header().Get("ETag"))
	s.tasks[0].Status = task.Submitted
	a = s.do(t, "POST", path+"/cancel", "")
	require.Equal(t, 200, a.Code, a.Body.String())
	require.Equal(t, map[string]any{"task_id": s.tasks[0].ID.String(), "status": "deleted"}, a.body)
	for _, status := range []task.Status{task.Done, task.Failed, task.Deleted} {
		s.tasks[0].Status = status
		a := s.do(t, "POST", path+"/cancel", "")
		requireProblem(t, a, 409, "conflict")
		require.Equal(t, string(status), a.body["task_status"])
	}
	s.fail = func(context.Context) error { return task.ErrOlderWorkers }
	a = s.do(t, "POST", path+"/cancel", "")
	require.Equal(t, 409, a.Code)
	require.Equal(t, "older_workers", a.body["code"])
}

func TestRetry(t *testing.T) {
	s, path := changeable(t)
	for _, status := range []task.Status{task.Submitted, task.Started, task.Done} {
		s.tasks[0].Status = status
		a := s.do(t, "POST", path+"/retry", "")
		requireProblem(t, a, 409, "not_retried")
		require.Equal(t, string(status), a.body["task_status"])
	}
	for n, status := range []task.Status{task.Failed, task.Deleted} {
		s.tasks[0].Status = status
		a := s.do(t, "POST", path+"/retry", "", "Idempotency-Key", string(status))
		require.Equal(t, 201, a.Code, a.Body.String())
		require.Equal(t, "/task/"+a.body["task_id"].(string), a.Header().Get("Location"))
		require.Equal(t, path, "/task/"+a.body["retry_of"].(string))
		require.Equal(t, a.body, s.do(t, "GET", a.Header().Get("Location"), "").body)
		require.Equal(t, a.body, s.do(t, "POST", path+"/retry", "", "Idempotency-Key", string(status)).body)
		require.Len(t, s.tasks, 2+n)
	}
	for _, bad := range []string{"a b", "schedule/x"} {
		a := s.do(t, "POST", path+"/retry", "", "Idempotency-Key", bad)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, []string{"Idempotency-Key"}, a.fields())
	}
	// Its type may have another schema by now, or be gone.
	s.tasks[0].Type = "bar"
	a := s.do(t, "POST", path+"/retry", "")
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"payload.url"}, a.fields())
	s.tasks[0].Type = "gone"
	a = s.do(t, "POST", path+"/retry", "")
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"task_type"}, a.fields())
	require.Len(t, s.tasks, 3)
}

func TestAttempts(t *testing.T) {
	s, path := changeable(t)
	require.JSONEq(t, `{"attempts":[]}`, s.do(t, "GET", path+"/attempts", "").Body.String())
	s.tasks[0].Attempt = 2
	id := s.tasks[0].ID.String()
	require.JSONEq(t, `{"attempts":[
		{"attempt":1,"started_at":"2027-01-15T08:00:00.000000Z","ended_at":"2027-01-15T08:00:01.000000Z","worker_id":"`+id+`",
		 "outcome":"failed","failure":{"code":"timeout","message":"it took too long"}},
		{"attempt":2,"started_at":"2027-01-15T08:00:00.000000Z","worker_id":"`+id+`"}]}`,
		s.do(t, "GET", path+"/attempts", "").Body.String())
	requireProblem(t, s.do(t, "GET", "/task/x/attempts", ""), 400, "invalid_id")
	requireProblem(t, s.do(t, "GET", "/task/"+uuid.NewString()+"/attempts", ""), 404, "not_found")
	requireProblem(t, s.do(t, "POST", path+"/attempts", ""), 405, "method_not_allowed")
}

// What acts on a task takes no body, so one that asks for something is not passed over.
func TestActionsAreRefused(t *testing.T) {
	s, path := changeable(t)
	for _, action := range []string{"/run", "/cancel", "/retry"} {
		requireProblem(t, s.do(t, "POST", "/task/x"+action, ""), 400, "invalid_id")
		requireProblem(t, s.do(t, "POST", "/task/"+uuid.NewString()+action, ""), 404, "not_found")
		requireProblem(t, s.do(t, "GET", path+action, ""), 405, "method_not_allowed")
		for _, body := range []string{`{}`, ` `, `{"dry_run":true}`, strings.Repeat("x", 1<<20)} {
			a := s.do(t, "POST", path+action, body)
			requireProblem(t, a, 422, "invalid")
			require.Equal(t, []string{"body"}, a.fields())
		}
		chunked := httptest.NewRequestWithContext(t.Context(), "POST", path+action, strings.NewReader(`{}`))
		chunked.ContentLength = -1
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, chunked)
		require.Equal(t, 422, recorder.Code)
	}
	require.Equal(t, task.Submitted, s.tasks[0].Status)
	require.Equal(t, 2030, s.tasks[0].DueAt.Year())
	a := s.do(t, "POST", path+"/run", "", "If-Match", "zzz")
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"If-Match"}, a.fields())
}
