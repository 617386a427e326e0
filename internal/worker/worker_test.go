package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// Three workers share tasks that are due now and soon: each runs once, none
// before its time.
func TestEachTaskRunsOnceAndNotEarly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var seen runs
	handle := func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
		seen.add(tk.ID)
		return json.RawMessage(`{"n":1}`), nil
	}
	ids := append(e.add(1000, -time.Minute, nil), e.add(1000, 500*time.Millisecond, nil)...)
	for range 3 {
		e.start(handle, nil)
	}
	require.Eventually(t, func() bool { return e.count("status = 'done'") == len(ids) }, waitFor, tick)
	for _, id := range ids {
		require.Equal(t, 1, seen.of(id))
	}
	require.Zero(t, e.count("started_at < due_at OR finished_at < started_at OR attempt <> 1"))
	require.JSONEq(t, `{"n":1}`, string(e.get(ids[0]).Result))
}

// Redis' clock, or a stale entry, says that a task is due; Postgres says not
// yet. It is put back, and runs when it is due.
func TestTaskThatOnlyRedisThinksIsDueWaits(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var seen runs
	e.start(func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
		seen.add(tk.ID)
		return nil, nil
	}, nil)
	id := e.add(1, 700*time.Millisecond, nil)[0]
	require.NoError(t, e.ring.Index(t.Context(), []task.Due{{Type: "test", ID: id, At: time.Now().Add(-time.Hour)}}))
	done := e.await(id, task.Done)
	require.False(t, done.StartedAt.Before(done.ExecutionTime))
	require.Equal(t, 1, seen.of(id))
}

// Whatever way a handler ends, its task ends accordingly and no other one
// notices.
func TestHowHandlersEnd(t *testing.T) {
	t.Parallel()
	ends := map[string]struct {
		handle  worker.Handler
		code    task.Code
		message string
	}{
		"error": {func(context.Context, *task.Task) (json.RawMessage, error) {
			return json.RawMessage(`{"kept":true}`), errors.New("no luck")
		}, task.HandlerError, "no luck"},
		"panic": {func(context.Context, *task.Task) (json.RawMessage, error) {
			panic("at the disco")
		}, task.Panic, "at the disco"},
		"goexit": {func(context.Context, *task.Task) (json.RawMessage, error) {
			runtime.Goexit()
			return nil, nil
		}, task.Panic, "ended its goroutine"},
		"nul and broken text": {func(context.Context, *task.Task) (json.RawMessage, error) {
			return nil, errors.New("a\x00b\xff" + strings.Repeat("ü", 4096))
		}, task.HandlerError, "a\uFFFDb\uFFFD"},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.start(func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
				if string(tk.Payload) == `{"good":true}` {
					return nil, nil
				}
				return end.handle(ctx, tk)
			}, nil)
			bad := e.add(1, 0, nil)[0]
			good := e.add(20, 0, func(d *task.Draft) { d.Payload = json.RawMessage(`{"good":true}`) })

			failed := e.await(bad, task.Failed)
			require.NotNil(t, failed.Failure)
			require.Equal(t, end.code, failed.Failure.Code)
			require.Contains(t, failed.Failure.Message, end.message)
			if name == "error" {
				require.JSONEq(t, `{"kept":true}`, string(failed.Result))
			}
			for _, id := range good {
				e.await(id, task.Done)
			}
		})
	}
}

// What no worker serves waits, and holds up nothing.
func TestATypeWithoutHandlerWaits(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.exec(`INSERT INTO types (name, handler, version) VALUES ('later', 'lease', 1)`)
	done := func(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }
	e.start(done, nil)
	id := e.add(1, 0, func(d *task.Draft) { d.Type = "later" })[0]
	for _, other := range e.add(20, 0, nil) {
		e.await(other, task.Done)
	}
	require.Equal(t, task.Submitted, e.get(id).Status)
}

// A result that is no JSON does not undo that the task ran.
func TestResultThatCannotBeStored(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.start(func(context.Context, *task.Task) (json.RawMessage, error) {
		return json.RawMessage(`{"a":`), nil
	}, nil)
	ids := e.add(5, 0, nil)
	for _, id := range ids {
		require.Nil(t, e.await(id, task.Done).Result)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var now, peak atomic.Int64
	e.start(func(context.Context, *task.Task) (json.RawMessage, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		runtime.Gosched()
		return nil, nil
	}, func(c *worker.Config) { c.Concurrency = 7 })
	e.add(500, 0, nil)
	require.Eventually(t, func() bool { return e.count("status = 'done'") == 500 }, waitFor, tick)
	require.LessOrEqual(t, peak.Load(), int64(7))
	require.Positive(t, peak.Load())
}

// Opt-in retries: every attempt has its number, and there are no more of them
// than the user allowed.
func TestRetries(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var attempts atomic.Int64
	e.start(func(_ context.Context, tk *task.Task) (json.RawMessage, error) {
		if int64(tk.Attempt) != attempts.Add(1) {
			t.Errorf("attempt %d is the call number %d", tk.Attempt, attempts.Load())
		}
		return nil, errors.New("again")
	}, nil)
	id := e.add(1, 0, func(d *task.Draft) { d.MaxAttempts = 3 })[0]
	failed := e.await(id, task.Failed)
	require.Equal(t, 3, failed.Attempt)
	require.EqualValues(t, 3, attempts.Load())
	require.True(t, failed.DueAt.After(failed.ExecutionTime))
}
