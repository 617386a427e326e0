package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

// batchOf is a body with these tasks.
func batchOf(tasks ...string) string { return `{"tasks":[` + strings.Join(tasks, ",") + `]}` }

func repeat(one string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = one
	}
	return all
}

func TestCreateBulk(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task/batch", " { \"tasks\" : [\n"+good+` , {"max_attempts":3,"payload":{"a":["]",{}]},
		"task_type":"foo","execution_time":"2030-01-02T15:04:05.0000001+01:00"} ] } `)
	require.Equal(t, 201, a.Code, a.Body.String())
	require.Empty(t, a.Header().Get("Location"))
	require.Len(t, s.tasks, 2)
	require.Equal(t, []any{s.tasks[0].ID.String(), s.tasks[1].ID.String()}, a.body["task_ids"])
	second := s.tasks[1]
	require.JSONEq(t, `{"a":["]",{}]}`, string(second.Payload))
	require.Equal(t, 3, second.MaxAttempts)
	require.Equal(t, time.Date(2030, 1, 2, 14, 4, 5, 1000, time.UTC), second.ExecutionTime)

	require.Contains(t, s.do(t, "GET", "/metrics", "").Body.String(),
		`timewheel_http_request_duration_seconds_count{code="201",method="POST",route="/task/batch"} 1`)
}

func TestBatchSize(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task/batch", batchOf(repeat(good, httpapi.MaxBatch)...))
	require.Equal(t, 201, a.Code)
	require.Len(t, a.body["task_ids"], httpapi.MaxBatch)
	for _, tasks := range [][]string{nil, repeat(good, httpapi.MaxBatch+1)} {
		a := s.do(t, "POST", "/task/batch", batchOf(tasks...))
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, []string{"tasks"}, a.fields())
	}
	require.Len(t, s.tasks, httpapi.MaxBatch)
}

func TestBatchBodySize(t *testing.T) {
	s := newService(t)
	large := func(size int) string {
		return strings.Replace(good, "}", `,"payload":{"x":"`+strings.Repeat("x", size-len(`{"x":""}`))+`"}}`, 1)
	}
	require.Equal(t, 201, s.do(t, "POST", "/task/batch", batchOf(repeat(large(task.MaxPayload), 3)...)).Code)
	a := s.do(t, "POST", "/task/batch", batchOf(good, large(task.MaxPayload+1)))
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{"tasks[1].payload"}, a.fields())

	whole := batchOf(good)
	whole += strings.Repeat(" ", httpapi.MaxBatchBody-len(whole))
	require.Equal(t, 201, s.do(t, "POST", "/task/batch", whole).Code)
	a = s.do(t, "POST", "/task/batch", whole+" ")
	requireProblem(t, a, 413, "body_too_large")
	require.Contains(t, a.body["detail"], "8 MiB")
	for body, code := range map[string]int{whole: 201, whole + " ": 413} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task/batch", io.MultiReader(strings.NewReader(body)))
		require.EqualValues(t, -1, request.ContentLength)
		request.Header.Set("Content-Type", "application/json")
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, request)
		require.Equal(t, code, recorder.Code)
	}
}

func TestEveryBadFieldOfEveryTaskIsListed(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task/batch", `{"tasks":[`+good+`,7,{"execution_time":"soon","task_type":"foo"},null,[],
		{"task_type":"bar","execution_time":"2030-01-02T15:04:05Z","payload":{}},{"x":1,"max_attempts":0}],"other":1}`,
		"Idempotency-Key", "has space")
	requireProblem(t, a, 422, "invalid")
	require.Equal(t, []string{
		"other", "tasks[1]", "tasks[2].execution_time", "tasks[3]", "tasks[4]", "tasks[5].payload.url", "tasks[6].x",
		"tasks[6].task_type", "tasks[6].execution_time", "tasks[6].max_attempts", "Idempotency-Key",
	}, a.fields())
	require.Empty(t, s.tasks)

	for body, fields := range map[string][]string{
		`{}`: {"tasks"}, `{"tasks":null}`: {"tasks"}, `{"tasks":{}}`: {"tasks"}, `{"tasks":"[]"}`: {"tasks"},
		`{"Tasks":[]}`: {"Tasks", "tasks"}, `[` + good + `]`: {"body"}, good: {"task_type", "execution_time", "tasks"},
	} {
		a := s.do(t, "POST", "/task/batch", body)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, fields, a.fields(), body)
	}
	a = s.do(t, "POST", "/task/batch", batchOf(repeat("{}", 300)...))
	require.Len(t, a.fields(), 101)
	require.Contains(t, a.Body.String(), "and 500 more faults")

	requireProblem(t, s.do(t, "POST", "/task/batch", batchOf(good)[1:]), 400, "malformed_json")
	requireProblem(t, s.do(t, "POST", "/task/batch", batchOf(good), "Content-Type", "", "Content-Type", "text/csv"), 415, "unsupported_media_type")
}

func TestBatchKey(t *testing.T) {
	s := newService(t)
	key := strings.Repeat("k", task.MaxKeyLength)
	first := s.do(t, "POST", "/task/batch", batchOf(good, good), "Idempotency-Key", key)
	require.Equal(t, 201, first.Code)
	require.Equal(t, first.body, s.do(t, "POST", "/task/batch", batchOf(good, good), "Idempotency-Key", key).body)
	s.fail = func(context.Context) error { return fmt.Errorf("create a batch: %w", task.ErrKeyReused) }
	requireProblem(t, s.do(t, "POST", "/task/batch", batchOf(good), "Idempotency-Key", key), 409, "idempotency_key_reused")
	require.Len(t, s.tasks, 2)
}

func TestErrorsOfABatch(t *testing.T) {
	s := newService(t)
	s.fail = func(context.Context) error {
		return fmt.Errorf("x: %w", &task.RejectedError{Reason: "too deep"})
	}
	a := s.do(t, "POST", "/task/batch", batchOf(good, good))
	requireProblem(t, a, 422, "rejected_by_store")
	require.Contains(t, a.Body.String(), "too deep")
	for err, code := range map[error]string{task.ErrUnavailable: "unavailable", task.ErrUnknownOutcome: "outcome_unknown"} {
		s.fail = func(context.Context) error { return fmt.Errorf("x: %w", err) }
		requireProblem(t, s.do(t, "POST", "/task/batch", batchOf(good)), 503, code)
	}
}

// Bodies are bounded by their bytes: beyond so many no more large ones are taken,
// while small ones still are.
func TestBodiesInWorkAreBoundedByBytes(t *testing.T) {
	const most = httpapi.MaxBodyBytes / httpapi.MaxBatchBody
	s := newService(t, func(o *httpapi.Options) { o.MaxInFlight = most + 1 })
	entered, release, ended := make(chan struct{}), make(chan struct{}), make(chan int)
	s.fail = func(context.Context) error {
		entered <- struct{}{}
		<-release
		return nil
	}
	body := batchOf(good)
	body += strings.Repeat(" ", httpapi.MaxBatchBody-len(body))
	for range most {
		go func() {
			recorder := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task/batch", strings.NewReader(body))
			request.Header.Set("Content-Type", "application/json")
			s.ServeHTTP(recorder, request)
			ended <- recorder.Code
		}()
		<-entered
	}
	s.fail = nil
	requireProblem(t, s.do(t, "POST", "/task/batch", body[:httpapi.MaxBatchBody/2]), 429, "overloaded")
	require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
	close(release)
	for range most {
		require.Equal(t, 201, <-ended)
	}
	require.Equal(t, 201, s.do(t, "POST", "/task/batch", batchOf(good)).Code)
}

// A body that is announced and does not come holds no room: neither bytes nor one
// of the places of requests in work.
func TestAnnouncedBodiesKeepNobodyOut(t *testing.T) {
	s := newService(t, func(o *httpapi.Options) { o.MaxInFlight = 1 })
	var ended sync.WaitGroup
	var senders []*io.PipeWriter
	for i := range 100 {
		reader, writer := io.Pipe()
		senders = append(senders, writer)
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task/batch", reader)
		request.Header.Set("Content-Type", "application/json")
		request.ContentLength = int64(-1)
		if i%2 == 0 {
			request.ContentLength = httpapi.MaxBatchBody
		}
		started := make(chan struct{})
		ended.Go(func() {
			close(started)
			s.ServeHTTP(httptest.NewRecorder(), request)
		})
		<-started
	}
	body := batchOf(good)
	body += strings.Repeat(" ", httpapi.MaxBatchBody-len(body))
	require.Equal(t, 201, s.do(t, "POST", "/task/batch", body).Code)
	require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
	for _, sender := range senders {
		require.NoError(t, sender.CloseWithError(io.ErrUnexpectedEOF))
	}
	ended.Wait()
}
