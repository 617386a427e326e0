package worker_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// While Postgres holds up the starts of two claims, what falls due stays with
// Redis, where other workers find it. The worker can be stopped all the same.
func TestClaimsStopWhileStartsAreHeldUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	done := func(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }
	ids := e.add(3, time.Hour, nil)
	e.exec(`UPDATE tasks SET due_at = now()`)
	lock, err := e.sql.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Rollback(context.Background()) }) // or the pool never closes
	_, err = lock.Exec(t.Context(), `SELECT FROM tasks FOR UPDATE`)
	require.NoError(t, err)

	_, stop := e.start(done, func(c *worker.Config) { c.Drain = 50 * time.Millisecond })
	waitingFor := func(starts, due int) func() bool {
		return func() bool {
			left, err := e.ring.Size(t.Context(), []string{"test"})
			return err == nil && left == int64(due) && e.lockWaits() == starts
		}
	}
	dueNow := func(i int) {
		require.NoError(t, e.ring.Index(t.Context(), []task.Due{{Type: "test", ID: ids[i], At: time.Now().Add(-time.Second)}}))
	}
	dueNow(0)
	require.Eventually(t, waitingFor(1, 2), waitFor, tick)
	dueNow(1)
	require.Eventually(t, waitingFor(2, 1), waitFor, tick)
	dueNow(2)
	require.Never(t, waitingFor(3, 0), 300*time.Millisecond, tick)
	stop()
	require.Eventually(t, waitingFor(0, 3), waitFor, tick, "all are due for others")
	require.NoError(t, lock.Rollback(t.Context()))

	e.start(done, nil)
	for _, id := range ids {
		require.Equal(t, 1, e.await(id, task.Done).Attempt)
	}
}

// lockWaits is how many statements wait for a lock in this test's database.
func (e *env) lockWaits() (n int) {
	e.t.Helper()
	err := e.sql.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	require.NoError(e.t, err)
	return n
}
