package worker_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/test/testkit"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

const (
	shortLease = 3 * time.Second
	// outage is longer than a lease and the grace.
	outage = shortLease + worker.Grace + time.Second
)

// An outage of Postgres that is longer than every lease is no death of any live
// worker: what ended meanwhile is recorded as it ended, and what runs goes on. A
// worker that died is found all the same, once Postgres is back.
func TestAnOutageOfPostgresIsNobodysDeath(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*testing.T, *stores.Postgres){
		"stopped": func(t *testing.T, server *stores.Postgres) {
			t.Helper()
			require.NoError(t, server.Stop())
			<-time.After(outage)
			require.NoError(t, server.Start(t.Context()))
		},
		"paused": func(t *testing.T, server *stores.Postgres) {
			t.Helper()
			resume, err := server.Pause()
			require.NoError(t, err)
			<-time.After(outage)
			require.NoError(t, resume())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testkit.OwnPostgres(t)
			e := newEnvOn(t, server.URL())
			beyond := make(chan struct{})
			meanwhile := make(chan struct{})
			handle := func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
				if tk.MaxAttempts > 1 {
					<-beyond
				} else {
					<-meanwhile
				}
				return json.RawMessage(strconv.Itoa(tk.Attempt)), nil
			}
			for range 4 {
				w, _ := e.start(handle, func(c *worker.Config) { c.Lease = shortLease })
				e.reapAs(w, shortLease)
			}
			ids := append(e.add(20, 0, nil), e.add(20, 0, func(d *task.Draft) { d.MaxAttempts = 9 })...)
			require.Eventually(t, func() bool { return e.count("status = 'started_executing'") == len(ids) }, waitFor, tick)
			victim := e.startedByADeadWorker()
			time.AfterFunc(outage/2, func() { close(meanwhile) })

			away(t, server)

			close(beyond)
			for _, id := range ids {
				done := e.await(id, task.Done)
				require.Equal(t, 1, done.Attempt)
				require.JSONEq(t, "1", string(done.Result))
			}
			require.Equal(t, task.WorkerLost, e.await(victim, task.Failed).Failure.Code)
			require.Equal(t, 1, e.count("failure_code IS NOT NULL"))
		})
	}
}

// reapAs declares dead sessions in the name of a worker, as its node does, until
// the test ends.
func (e *env) reapAs(w *worker.Worker, lease time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			// It fails while Postgres is away.
			_, _ = e.db.Reap(ctx, w.Session(), lease, worker.Grace)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	e.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// startedByADeadWorker is a task that a worker started that will never renew its
// lease.
func (e *env) startedByADeadWorker() task.ID {
	e.t.Helper()
	dead := uuid.New()
	require.NoError(e.t, e.db.Register(e.t.Context(), dead, "dead", shortLease))
	id := uuid.Must(uuid.NewV7())
	created := e.db.Create(e.t.Context(), []task.Draft{{
		ID: id, Type: "test", ExecutionTime: time.Now().Add(-time.Minute).Truncate(time.Microsecond), MaxAttempts: 1,
	}})
	require.NoError(e.t, created[0].Err)
	started, _, err := e.db.Start(e.t.Context(), dead, 1, []string{"test"}, []task.ID{id})
	require.NoError(e.t, err)
	require.Len(e.t, started, 1)
	return id
}
