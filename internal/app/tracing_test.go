package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/test/testkit"
	"github.com/timewheel/timewheel/test/testkit/otlp"
)

const (
	patience = 30 * time.Second
	glance   = 5 * time.Millisecond
	caller   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// node runs a program of the system until the test ends or stop is called.
func node(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a node: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// system is an API and a worker on stores of their own.
type system struct {
	url                  string
	stopAPI, stopWorkers func()
}

func start(t *testing.T, environment map[string]string) system {
	t.Helper()
	t.Setenv("DATABASE_URL", testkit.Postgres(t))
	t.Setenv("REDIS_URL", testkit.Redis(t))
	t.Setenv("API_SHUTDOWN_DELAY", "0s")
	t.Setenv("WEBHOOK_ALLOW_PRIVATE", "true")
	for name, value := range environment {
		t.Setenv(name, value)
	}
	free := listen(t)
	t.Setenv("LISTEN_ADDR", free.Addr().String())
	require.NoError(t, free.Close())
	apiConfig, err := config.LoadAPI()
	require.NoError(t, err)
	s := system{url: "http://" + free.Addr().String()}
	s.stopAPI = node(t, func(ctx context.Context) error { return app.RunAPI(ctx, apiConfig, io.Discard) })
	t.Setenv("LISTEN_ADDR", "127.0.0.1:0")
	workerConfig, err := config.LoadWorker()
	require.NoError(t, err)
	s.stopWorkers = node(t, func(ctx context.Context) error { return app.Worker{}.Run(ctx, workerConfig, io.Discard) })
	require.Eventually(t, func() bool { return s.ask(t, http.MethodGet, "/readyz", "", nil).status == http.StatusOK }, patience, glance)
	return s
}

type answer struct {
	status int
	body   string
}

func (s system) ask(t *testing.T, method, path, body string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return answer{}
	}
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return answer{response.StatusCode, string(text)}
}

// create makes a task and returns its id.
func (s system) create(t *testing.T, body string, header http.Header) string {
	t.Helper()
	made := s.ask(t, http.MethodPost, "/task", body, header)
	require.Equal(t, http.StatusCreated, made.status, made.body)
	var created struct {
		TaskID string `json:"task_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(made.body), &created))
	return created.TaskID
}

func (s system) await(t *testing.T, id, status string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(s.ask(t, http.MethodGet, "/task/"+id, "", nil).body, `"status":"`+status+`"`)
	}, patience, glance)
}

// receiver fails the first request and takes the others. It keeps their headers.
type receiver struct {
	mu   sync.Mutex
	seen []http.Header
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, request.Header)
	if len(r.seen) == 1 {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (r *receiver) parents() (all [][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, header := range r.seen {
		all = append(all, header["Traceparent"])
	}
	return all
}

const now = `"execution_time": "2020-01-01T00:00:00Z"`

// Each attempt is a trace of its own that links to the create's span, which is in the caller's.
func TestTraceOfATaskFromItsCallerToItsEnd(t *testing.T) {
	sink, endpoint := otlp.HTTP(t)
	s := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
	called := new(receiver)
	service := httptest.NewServer(called)
	t.Cleanup(service.Close)
	put := s.ask(t, http.MethodPut, "/type/mail", `{"handler": "webhook", "max_attempts": 2, "retry": {"delay": "1ms"},
		"webhook": {"url": "`+service.URL+`/hook?token=hunter2"}}`, nil)
	require.Equal(t, http.StatusCreated, put.status, put.body)
	id := s.create(t, `{"task_type": "mail", `+now+`, "payload": {"secret": "hunter2"}}`,
		http.Header{"Traceparent": {caller}, "Idempotency-Key": {"hunter2"}})
	s.await(t, id, "done")
	batch := s.ask(t, http.MethodPost, "/task/batch", `{"tasks": [{"task_type": "baz", `+now+`}, {"task_type": "baz", `+now+`}]}`,
		http.Header{"Traceparent": {caller}})
	require.Equal(t, http.StatusCreated, batch.status, batch.body)
	require.Eventually(t, func() bool {
		return strings.Count(s.ask(t, http.MethodGet, "/task?type=baz&status=done", "", nil).body, `"task_id"`) == 2
	}, patience, glance)
	s.stopWorkers()
	s.stopAPI()

	bulk := sink.Named("POST /task/batch")
	require.Len(t, bulk, 1)
	require.Len(t, sink.Named("execute baz"), 2)
	for _, span := range sink.Named("execute baz") {
		require.Equal(t, []string{bulk[0].Trace + "/" + bulk[0].ID}, span.Links)
	}
	created := sink.Named("POST /task")
	require.Len(t, created, 1)
	require.Equal(t, caller[3:35], created[0].Trace)
	require.Equal(t, caller[36:52], created[0].ParentID)
	require.Equal(t, "timewheel-api", created[0].Service)

	attempts := sink.Named("execute mail")
	require.Len(t, attempts, 2)
	parents := called.parents()
	require.Len(t, parents, 2)
	for i, outcome := range []string{"handler_error", "done"} {
		span := attempts[i]
		require.Equal(t, "timewheel-worker", span.Service)
		require.Empty(t, span.ParentID)
		require.NotEqual(t, created[0].Trace, span.Trace)
		require.Equal(t, []string{created[0].Trace + "/" + created[0].ID}, span.Links)
		require.Equal(t, id, otlp.Text(span.GetAttributes(), "timewheel.task.id"))
		require.Equal(t, outcome, otlp.Text(span.GetAttributes(), "timewheel.task.outcome"))
		require.Equal(t, []string{"00-" + span.Trace + "-" + span.ID + "-01"}, parents[i])
	}
	require.NotEqual(t, attempts[0].Trace, attempts[1].Trace)
	for _, span := range sink.Spans() {
		require.NotContains(t, span.String(), "hunter2")
		require.NotContains(t, []string{"GET /readyz", "GET /metrics"}, span.GetName())
	}
}

// A caller that asked for no spans of its own turns off its own and no others.
func TestCallerWhoseTraceIsNotSampled(t *testing.T) {
	sink, endpoint := otlp.HTTP(t)
	s := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
	called := new(receiver)
	service := httptest.NewServer(called)
	t.Cleanup(service.Close)
	webhook := `{"task_type": "webhook", ` + now + `, "payload": {"url": "` + service.URL + `"}}`
	s.await(t, s.create(t, webhook, http.Header{"Traceparent": {strings.TrimSuffix(caller, "1") + "0"}}), "failed")
	for _, invalid := range [][]string{{caller, caller}, {strings.ToUpper(caller)}, {"ff" + caller[2:]}} {
		s.await(t, s.create(t, webhook, http.Header{"Traceparent": invalid}), "done")
	}
	s.stopWorkers()
	s.stopAPI()

	require.Len(t, sink.Named("POST /task"), 3, "all but the one that is not sampled")
	for _, span := range sink.Named("POST /task") {
		require.NotEqual(t, caller[3:35], span.Trace)
	}
	attempts := sink.Named("execute webhook")
	require.Len(t, attempts, 4)
	for i, sent := range called.parents() {
		require.Equal(t, []string{"00-" + attempts[i].Trace + "-" + attempts[i].ID + "-01"}, sent)
	}
	require.Equal(t, []string{caller[3:35] + "/" + caller[36:52]}, attempts[0].Links)
	for _, span := range attempts[1:] {
		require.Empty(t, span.Links)
	}
}

// Without a collector nothing is kept of a caller's trace, and nothing is sent on.
func TestWithoutTracingNoTraceIsKept(t *testing.T) {
	s := start(t, nil)
	called := new(receiver)
	service := httptest.NewServer(called)
	t.Cleanup(service.Close)
	s.await(t, s.create(t, `{"task_type": "webhook", `+now+`, "payload": {"url": "`+service.URL+`"}}`,
		http.Header{"Traceparent": {caller}}), "failed")
	require.Equal(t, [][]string{nil}, called.parents())
}
