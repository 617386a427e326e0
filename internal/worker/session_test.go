package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// A worker that was away for longer than its lease was declared dead: its task
// is failed with worker_lost, its handler is cancelled, its late result writes
// nothing, and it goes on under a new session.
func TestWorkerThatWasDeclaredDeadBeginsAnew(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	running, cancelled := make(chan struct{}), make(chan error, 1)
	var calls atomic.Int64
	e.start(func(ctx context.Context, _ *task.Task) (json.RawMessage, error) {
		if calls.Add(1) > 1 {
			return nil, nil
		}
		close(running)
		<-ctx.Done()
		cancelled <- context.Cause(ctx)
		return json.RawMessage(`"late"`), nil
	}, func(c *worker.Config) { c.Lease = 3 * time.Second })

	victim := e.add(1, 0, nil)[0]
	<-running
	// As if the lease had passed while the worker was stopped.
	e.exec(`UPDATE workers SET lease_until = clock_timestamp() - interval '1 minute' WHERE dead_at IS NULL`)
	require.Equal(t, 1, e.reap().Failed)

	select {
	case cause := <-cancelled:
		require.Error(t, cause)
	case <-time.After(waitFor):
		t.Fatal("the handler of the lost session was not cancelled")
	}
	e.await(e.add(1, 0, nil)[0], task.Done)
	lost := e.get(victim)
	require.Equal(t, task.WorkerLost, lost.Failure.Code)
	require.Nil(t, lost.Result, "a zombie writes nothing")
	require.EqualValues(t, 2, calls.Load())
}

// Draining lets running handlers end, claims nothing more, and gives back what
// was not started.
func TestDrainWaitsForRunningHandlers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	running, gate := make(chan struct{}, 100), make(chan struct{})
	_, stop := e.start(func(context.Context, *task.Task) (json.RawMessage, error) {
		running <- struct{}{}
		<-gate
		return nil, nil
	}, func(c *worker.Config) { c.Concurrency = 5 })
	e.add(20, 0, nil)
	for range 5 {
		<-running
	}
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	close(gate)
	<-stopped

	ended := e.count("status = 'done'")
	require.GreaterOrEqual(t, ended, 5)
	require.Equal(t, 20-ended, e.count("status = 'submitted'"), "nothing is left in between")
	size, err := e.ring.Size(t.Context(), []string{"test"})
	require.NoError(t, err)
	require.EqualValues(t, 20-ended, size, "what was not started is due for others at once")
}

// When the drain time is over handlers are cancelled, and those that do not
// listen are left behind as worker_lost: nothing stays started.
func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	running, gate := make(chan struct{}, 2), make(chan struct{})
	defer close(gate)
	_, stop := e.start(func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		running <- struct{}{}
		if tk.Payload == nil {
			<-ctx.Done()
			return nil, errors.New("gave up")
		}
		<-gate
		return nil, nil
	}, func(c *worker.Config) { c.Drain = 50 * time.Millisecond })
	polite := e.add(1, 0, nil)[0]
	deaf := e.add(1, 0, func(d *task.Draft) { d.Payload = json.RawMessage(`{}`) })[0]
	<-running
	<-running
	stop()
	got := e.get(polite)
	require.Equal(t, &task.Failure{Code: task.WorkerStopped, Message: "the worker is shutting down: gave up"}, got.Failure)
	require.Equal(t, task.WorkerLost, e.get(deaf).Failure.Code)
}

// A delete at the due instant: either it is answered and the task never runs,
// or it is refused and the task ran once.
func TestDeleteRacesWithTheStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var seen runs
	for range 4 {
		e.start(func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
			seen.add(tk.ID)
			return nil, nil
		}, nil)
	}
	ids := e.add(2000, 300*time.Millisecond, nil)
	deleted := map[task.ID]bool{}
	for i, id := range ids {
		if i%8 == 0 { // stay near the instant
			due := e.get(id).DueAt
			require.Eventually(t, func() bool { return time.Now().After(due.Add(-time.Millisecond)) }, waitFor, 100*time.Microsecond)
		}
		var status *task.StatusError
		switch _, err := e.db.Delete(t.Context(), id); {
		case err == nil:
			deleted[id] = true
		case !errors.As(err, &status):
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool { return e.count("outcome = 'open'") == 0 }, waitFor, tick)
	for _, id := range ids {
		want := 1
		if deleted[id] {
			want = 0
		}
		require.Equal(t, want, seen.of(id))
	}
	t.Logf("%d deleted, %d ran", len(deleted), len(ids)-len(deleted))
}
