package worker_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	waitFor = 30 * time.Second
	tick    = 5 * time.Millisecond
)

// env is a pair of real stores and the workers on them.
type env struct {
	t    *testing.T
	db   *postgres.DB
	ring *wheel.Wheel
	sql  *pgxpool.Pool // the test's own view
	log  *slog.Logger
	// metrics are those of the worker that was started last.
	metrics *prometheus.Registry
}

func newEnv(t *testing.T) *env {
	t.Helper()
	return newEnvOn(t, testkit.Postgres(t))
}

func newEnvOn(t *testing.T, url string) *env {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Work: 10}, log)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	ring, err := wheel.Open(wheel.Options{URL: testkit.Redis(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ring.Close()) })
	sql, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(sql.Close)
	_, err = sql.Exec(t.Context(), `INSERT INTO types (name, handler, version) VALUES ('test', 'lease', 1)`)
	require.NoError(t, err)
	return &env{t, db, ring, sql, log, prometheus.NewRegistry()}
}

// add creates n tasks that are due in a while, in both rings.
func (e *env) add(n int, in time.Duration, change func(*task.Draft)) []task.ID {
	e.t.Helper()
	drafts := make([]task.Draft, n)
	due := make([]task.Due, n)
	ids := make([]task.ID, n)
	for i := range drafts {
		id, err := uuid.NewV7()
		require.NoError(e.t, err)
		at := task.Ceil(time.Now().Add(in))
		drafts[i] = task.Draft{ID: id, Type: "test", ExecutionTime: at, MaxAttempts: 1}
		if change != nil {
			change(&drafts[i])
		}
		ids[i], due[i] = id, task.Due{Type: "test", ID: id, At: at}
	}
	for _, created := range e.db.Create(e.t.Context(), drafts) {
		require.NoError(e.t, created.Err)
	}
	require.NoError(e.t, e.ring.Index(e.t.Context(), due))
	return ids
}

// start runs a worker until the test ends or stop is called, which waits for
// its end.
func (e *env) start(handle worker.Handler, change func(*worker.Config)) (w *worker.Worker, stop func()) {
	e.t.Helper()
	cfg := worker.Config{
		Host: "test", Concurrency: 50, Lease: 15 * time.Second,
		TaskTimeout: waitFor, Drain: 10 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	lookup := func(taskType string) (worker.Handler, bool) { return handle, taskType == "test" }
	e.metrics = prometheus.NewRegistry()
	w = worker.New(e.db, e.ring, testTypes{}, lookup, cfg, e.log, e.metrics)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			e.t.Errorf("worker: %v", err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	e.t.Cleanup(stop)
	return w, stop
}

// testTypes declares every type.
type testTypes struct{}

func (testTypes) Type(name string) (task.Type, bool) { return task.Type{Name: name}, true }

func (testTypes) Names() []string { return []string{"test"} }

func (testTypes) Changed() <-chan struct{} { return nil }

func (testTypes) Refresh(context.Context) error { return nil }

func (e *env) get(id task.ID) *task.Task {
	e.t.Helper()
	got, err := e.db.Get(context.Background(), id)
	require.NoError(e.t, err)
	return got
}

// await waits until a task has a status.
func (e *env) await(id task.ID, want task.Status) *task.Task {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return e.get(id).Status == want }, waitFor, tick)
	return e.get(id)
}

// count is how many tasks satisfy an SQL condition.
func (e *env) count(where string) (n int) {
	e.t.Helper()
	err := e.sql.QueryRow(context.Background(), "SELECT count(*) FROM tasks WHERE "+where).Scan(&n)
	require.NoError(e.t, err)
	return n
}

func (e *env) exec(sql string, args ...any) {
	e.t.Helper()
	_, err := e.sql.Exec(context.Background(), sql, args...)
	require.NoError(e.t, err)
}

// reap lets a session that has been steady for long declare others dead.
func (e *env) reap() task.Reaped {
	e.t.Helper()
	judge := uuid.New()
	require.NoError(e.t, e.db.Register(e.t.Context(), judge, "judge", time.Hour))
	e.exec(`UPDATE workers SET steady_since = clock_timestamp() - interval '1 day' WHERE id = $1`, judge)
	reaped, err := e.db.Reap(e.t.Context(), judge, time.Hour, worker.Grace)
	require.NoError(e.t, err)
	return reaped
}

// ended is how many attempts are counted as ended so.
func (e *env) ended(code task.Code) (n float64) {
	e.t.Helper()
	families, err := e.metrics.Gather()
	require.NoError(e.t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "timewheel_attempts_ended_total" && m.GetLabel()[0].GetValue() == string(code) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// metric is the value of a metric without labels.
func (e *env) metric(name string) float64 {
	e.t.Helper()
	families, err := e.metrics.Gather()
	require.NoError(e.t, err)
	for _, family := range families {
		if m := family.GetMetric(); family.GetName() == name && len(m) == 1 {
			return m[0].GetCounter().GetValue() + m[0].GetGauge().GetValue()
		}
	}
	e.t.Fatalf("there is no metric %s", name)
	return 0
}

// runs counts the calls of a handler by task.
type runs struct {
	mu sync.Mutex
	by map[task.ID]int
}

func (r *runs) add(id task.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[task.ID]int{}
	}
	r.by[id]++
}

func (r *runs) of(id task.ID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[id]
}
