package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type service struct {
	*ledger
	http.Handler
	log      *bytes.Buffer
	registry *prometheus.Registry
	contract *contract
}

func newService(tb testing.TB, change ...func(*httpapi.Options)) *service {
	tb.Helper()
	s := &service{ledger: &ledger{}, log: &bytes.Buffer{}, registry: prometheus.NewRegistry()}
	options := httpapi.Options{
		Tasks: s.ledger, Reader: s.ledger,
		Types:     httpapi.Declared{"bar", "foo"},
		CheckType: func(task.Type) []httpapi.FieldError { return nil },
		Validate: func(declared task.Type, payload json.RawMessage) []httpapi.FieldError {
			taskType := declared.Name
			if taskType == "bar" && !bytes.Contains(payload, []byte("url")) {
				return []httpapi.FieldError{{Field: "payload.url", Message: "is required"}}
			}
			return nil
		},
		Ready:       func(context.Context) (map[string]string, bool) { return map[string]string{"postgres": "ok"}, true },
		Registry:    s.registry,
		Log:         slog.New(slog.NewJSONHandler(s.log, nil)),
		MaxInFlight: 8,
	}
	for _, f := range change {
		f(&options)
	}
	s.Handler = httpapi.New(options)
	s.contract = readContract(tb, s)
	return s
}

// answer is a response, read and found true to the OpenAPI document.
type answer struct {
	*httptest.ResponseRecorder
	body map[string]any
}

func (a answer) fields() []string {
	var names []string
	for _, one := range a.body["errors"].([]any) {
		names = append(names, one.(map[string]any)["field"].(string))
	}
	return names
}

func (s *service) do(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	for pair := range slices.Chunk(headers, 2) {
		if pair[1] == "" {
			request.Header.Del(pair[0])
		} else {
			request.Header.Add(pair[0], pair[1])
		}
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	a := answer{ResponseRecorder: recorder}
	if strings.Contains(recorder.Header().Get("Content-Type"), "json") {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &a.body), recorder.Body.String())
	}
	require.NotEmpty(t, recorder.Header().Get("X-Request-Id"))
	s.contract.check(t, request, a)
	return a
}

// requireProblem checks what every problem has.
func requireProblem(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.Code, a.Body.String())
	require.Equal(t, code, a.body["code"], a.Body.String())
	require.Equal(t, "application/problem+json", a.Header().Get("Content-Type"))
	require.Equal(t, "about:blank", a.body["type"])
	require.Equal(t, http.StatusText(status), a.body["title"])
	require.InDelta(t, status, a.body["status"], 0)
	require.NotEmpty(t, a.body["detail"])
	require.Equal(t, a.Header().Get("X-Request-Id"), a.body["request_id"])
	retryable := status == 429 || status == 503
	require.Equal(t, retryable, a.Header().Get("Retry-After") != "")
}

const good = `{"task_type":"foo","execution_time":"2030-01-02T15:04:05Z"}`

func TestCreateAndGet(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task", `{"task_type":"foo","execution_time":"2030-01-02T15:04:05.0000001+01:00","payload":{"a":[1]},"max_attempts":3}`)
	require.Equal(t, 201, a.Code, a.Body.String())
	id := a.body["task_id"].(string)
	require.Equal(t, "/task/"+id, a.Header().Get("Location"))

	a = s.do(t, "GET", "/task/"+id, "")
	require.Equal(t, 200, a.Code)
	require.Equal(t, map[string]any{
		"task_id": id, "task_type": "foo", "status": "submitted", "execution_time": "2030-01-02T14:04:05.000001Z",
		"due_at": "2030-01-02T14:04:05.000001Z", "payload": map[string]any{"a": []any{1.0}}, "attempt": 0.0,
		"max_attempts": 3.0, "created_at": "2027-01-15T08:00:00.000000Z",
	}, a.body)
	require.Equal(t, 200, s.do(t, "GET", "/task/"+strings.ToUpper(id), "").Code)
}

func TestGetAnEndedTask(t *testing.T) {
	s := newService(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	ended := task.Task{
		ID: uuid.Must(uuid.NewV7()), Type: "foo", Status: task.Failed, ExecutionTime: at, DueAt: at, CreatedAt: at,
		Attempt: 1, MaxAttempts: 1, WorkerID: uuid.Must(uuid.NewV7()), StartedAt: at.Add(1234 * time.Microsecond),
		FinishedAt: at.Add(time.Second), Result: json.RawMessage(`{"status":500}`),
		Failure: &task.Failure{Code: task.HandlerError, Message: "answered 500"},
	}
	s.tasks = append(s.tasks, ended)
	require.Equal(t, map[string]any{
		"task_id": ended.ID.String(), "task_type": "foo", "status": "failed", "execution_time": "2030-01-02T03:04:05.000000Z",
		"due_at": "2030-01-02T03:04:05.000000Z", "created_at": "2030-01-02T03:04:05.000000Z", "attempt": 1.0, "max_attempts": 1.0,
		"worker_id": ended.WorkerID.String(), "started_at": "2030-01-02T03:04:05.001234Z",
		"finished_at": "2030-01-02T03:04:06.000000Z", "lateness_ms": 1.234, "result": map[string]any{"status": 500.0},
		"failure": map[string]any{"code": "handler_error", "message": "answered 500"},
	}, s.do(t, "GET", "/task/"+ended.ID.String(), "").body)
}

func TestTheEarliestTimeIsShown(t *testing.T) {
	s := newService(t)
	a := s.do(t, "POST", "/task", `{"task_type":"foo","execution_time":"0001-01-01T00:00:00Z"}`)
	require.Equal(t, 201, a.Code)
	require.Equal(t, "0001-01-01T00:00:00.000000Z", s.do(t, "GET", a.Header().Get("Location"), "").body["execution_time"])
}

func TestIdempotencyKey(t *testing.T) {
	s := newService(t)
	first := s.do(t, "POST", "/task", good, "Idempotency-Key", "k")
	again := s.do(t, "POST", "/task", good, "Idempotency-Key", "k")
	require.Equal(t, []int{201, 201}, []int{first.Code, again.Code})
	require.Equal(t, first.body, again.body)
	other := s.do(t, "POST", "/task", `{"task_type":"bar","execution_time":"2030-01-02T15:04:05Z","payload":{"url":1}}`, "Idempotency-Key", "k")
	requireProblem(t, other, 409, "idempotency_key_reused")

	for _, bad := range []string{"has space", "é", strings.Repeat("k", 256), "tab\t"} {
		a := s.do(t, "POST", "/task", good, "Idempotency-Key", bad)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, []string{"Idempotency-Key"}, a.fields())
	}
	requireProblem(t, s.do(t, "POST", "/task", good, "Idempotency-Key", "a", "Idempotency-Key", "b"), 422, "invalid")
	require.Equal(t, 201, s.do(t, "POST", "/task", good, "Idempotency-Key", strings.Repeat("k", 255)).Code)
}

func TestDelete(t *testing.T) {
	s := newService(t)
	path := s.do(t, "POST", "/task", good).Header().Get("Location")
	for range 2 {
		a := s.do(t, "DELETE", path, "")
		require.Equal(t, 200, a.Code)
		require.Equal(t, map[string]any{"task_id": strings.TrimPrefix(path, "/task/"), "status": "deleted"}, a.body)
	}
	require.Equal(t, "deleted", s.do(t, "GET", path, "").body["status"])

	path = s.do(t, "POST", "/task", good).Header().Get("Location")
	s.tasks[1].Status = task.Started
	a := s.do(t, "DELETE", path, "")
	requireProblem(t, a, 409, "conflict")
	require.Equal(t, "started_executing", a.body["task_status"])
}

func TestHeadAnswersLikeGet(t *testing.T) {
	s := newService(t)
	server := httptest.NewServer(s)
	defer server.Close()
	for path, status := range map[string]int{"/task": 200, "/livez": 200, "/openapi.json": 200, "/task/x": 400} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+path, http.NoBody)
		require.NoError(t, err)
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, status, response.StatusCode, path)
		require.Empty(t, body)
	}
}
