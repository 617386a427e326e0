package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// cancel asks for the end of a task, and tells its worker if that is wanted.
func (e *env) cancel(id task.ID, tell bool) *task.Task {
	e.t.Helper()
	cancelled, err := e.db.Cancel(context.Background(), id)
	require.NoError(e.t, err)
	if tell {
		require.NoError(e.t, e.ring.CancelRequested(context.Background(), cancelled.WorkerID))
	}
	return cancelled
}

// The handler's context ends with a reason, whether or not the worker was told, and no attempt
// follows.
func TestARunningTaskIsCancelled(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	begun := make(chan task.ID, 10)
	e.start(func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		begun <- tk.ID
		<-ctx.Done()
		assert.Equal(t, context.Canceled, ctx.Err())
		return json.RawMessage(`{"so":"far"}`), context.Cause(ctx)
	}, nil)
	e.add(3, 0, func(d *task.Draft) { d.MaxAttempts = 3 })
	ids := []task.ID{<-begun, <-begun, <-begun}
	for i, tell := range []bool{true, false} {
		wished := e.cancel(ids[i], tell)
		require.Equal(t, task.Started, wished.Status)
		ended := e.await(ids[i], task.Failed)
		require.Equal(t, &task.Failure{Code: task.Cancelled, Message: "a client cancelled the task"}, ended.Failure)
		require.JSONEq(t, `{"so":"far"}`, string(ended.Result))
		require.Equal(t, 1, ended.Attempt)
		require.Equal(t, wished.CancelRequestedAt, ended.CancelRequestedAt)
		require.Less(t, ended.FinishedAt.Sub(ended.CancelRequestedAt), waitFor)
	}
	require.Equal(t, task.Started, e.get(ids[2]).Status, "its neighbours run on")
	e.cancel(ids[2], true)
	e.await(ids[2], task.Failed)
	require.Eventually(t, func() bool { return e.ended(task.Cancelled) == 3 }, waitFor, tick)
}

// A worker is gone with a task that was to be cancelled: it is not started once more.
func TestACancelledTaskOfALostWorkerIsNotAttemptedAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	session := uuid.New()
	require.NoError(t, e.db.Register(t.Context(), session, "lost", time.Hour))
	ids := e.add(2, -time.Second, func(d *task.Draft) { d.MaxAttempts = 3 })
	started, _, err := e.db.Start(t.Context(), session, 1, []string{"test"}, ids)
	require.NoError(t, err)
	require.Len(t, started, 2)
	e.cancel(ids[0], true)
	e.exec(`UPDATE workers SET lease_until = clock_timestamp() - interval '1 minute' WHERE id = $1`, session)

	var seen runs
	e.start(func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
		seen.add(tk.ID)
		return nil, nil
	}, nil)
	reaped := e.reap()
	require.Equal(t, 1, reaped.Failed)
	require.NoError(t, e.ring.IndexIn(t.Context(), reaped.Retried))
	e.await(ids[1], task.Done) // whose next attempt is the proof that retries work
	lost := e.get(ids[0])
	require.Equal(t, task.WorkerLost, lost.Failure.Code)
	require.Equal(t, 1, lost.Attempt)
	require.Zero(t, seen.of(ids[0]))
}

// 1,000 tasks are cancelled when they fall due: one that was deleted never runs, one that was
// running ends as cancelled or is done, and what is done stays so.
func TestCancelsAtTheDueInstant(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var seen runs
	handle := func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		seen.add(tk.ID)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(rand.N(200 * time.Millisecond)):
			return nil, nil
		}
	}
	for range 2 {
		e.start(handle, func(c *worker.Config) { c.Concurrency = 200 })
	}
	ids := e.add(1000, 1500*time.Millisecond, func(d *task.Draft) { d.MaxAttempts = 2 })
	at := e.get(ids[0]).DueAt
	var mu sync.Mutex
	answers := map[task.ID]task.Status{}
	var all errgroup.Group
	for part := range 4 {
		all.Go(func() error {
			time.Sleep(time.Until(at.Add(time.Duration(part-2) * 40 * time.Millisecond)))
			for _, i := range rand.Perm(len(ids) / 4) {
				id := ids[4*i+part]
				cancelled, err := e.db.Cancel(t.Context(), id)
				var refused *task.StatusError
				answer := task.Done
				switch {
				case err == nil:
					if answer = cancelled.Status; answer == task.Started {
						err = e.ring.CancelRequested(t.Context(), cancelled.WorkerID)
					}
				case errors.As(err, &refused) && refused.Status == task.Done:
					err = nil
				}
				if err != nil {
					return err
				}
				mu.Lock()
				answers[id] = answer
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	require.Eventually(t, func() bool { return e.count("status IN ('done', 'failed', 'deleted')") == len(ids) }, waitFor, tick)
	counts := map[string]int{}
	for id, answer := range answers {
		found := e.get(id)
		counts[string(answer)+" "+string(found.Status)]++
		switch answer {
		case task.Deleted:
			require.Zero(t, seen.of(id))
			require.Equal(t, task.Deleted, found.Status)
		case task.Started:
			require.Equal(t, 1, seen.of(id))
			require.NotEqual(t, task.Deleted, found.Status)
			if found.Status == task.Failed {
				require.Equal(t, task.Cancelled, found.Failure.Code)
			}
		default:
			require.Equal(t, task.Done, found.Status)
		}
	}
	t.Log(counts)
	require.Positive(t, counts["deleted deleted"])
	require.Positive(t, counts["started_executing failed"])
}
