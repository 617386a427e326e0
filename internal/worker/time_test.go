package worker_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

var calm = worker.Config{Concurrency: 2, Lease: 15 * time.Second, TaskTimeout: 5 * time.Minute, Drain: 30 * time.Second}

func doNothing(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }

func untilCancelled(ctx context.Context, _ *task.Task) (json.RawMessage, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// gaps are the times between events.
func gaps(events []time.Time) (between []time.Duration) {
	for i := 1; i < len(events); i++ {
		between = append(between, events[i].Sub(events[i-1]))
	}
	return between
}

// A lease is renewed three times in its length; a try that fails is repeated soon.
func TestTheHeartbeatsPace(t *testing.T) {
	bubble(t, calm, doNothing, func(t *testing.T, m *memory, _ context.CancelFunc) {
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{5 * time.Second, 5 * time.Second, 5 * time.Second}, gaps(append(m.registered, m.renewed...)))

		m.set(func(m *memory) { m.renew = errAway })
		time.Sleep(7 * time.Second)
		synctest.Wait()
		require.Len(t, m.tries, 5, "after 5 s, and each half second from then on")
	})
}

// Nothing starts and nothing is called while the lease may have passed: nine tenths of
// it after the last renewal that succeeded.
func TestNothingStartsWithoutALiveLease(t *testing.T) {
	var calls atomic.Int64
	count := func(context.Context, *task.Task) (json.RawMessage, error) {
		calls.Add(1)
		return nil, nil
	}
	bubble(t, calm, count, func(t *testing.T, m *memory, _ context.CancelFunc) {
		m.set(func(m *memory) { m.renew = errAway })
		time.Sleep(13400 * time.Millisecond)
		m.add()
		time.Sleep(50 * time.Millisecond)
		time.Sleep(200 * time.Millisecond) // the worker looks this often
		synctest.Wait()
		trusted := m.registered[0].Add(13500 * time.Millisecond)
		m.set(func(m *memory) {
			for _, at := range m.claimed {
				require.False(t, at.After(trusted), "a claim at %s, after the lease may have passed", at)
			}
		})
		before := calls.Load()
		m.add()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, before, calls.Load())

		m.set(func(m *memory) { m.renew = nil })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, calls.Load())
	})
}

// A session that others declared dead is over at once, with its handlers; the worker
// goes on under a new one, and an end of the old one is not written.
func TestALostSessionEndsItsHandlers(t *testing.T) {
	var causes chan error // made in the bubble, as all that is waited for there
	handle := func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		if tk.Attempt > 1 {
			return nil, nil
		}
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return json.RawMessage(`1`), nil
	}
	bubble(t, calm, handle, func(t *testing.T, m *memory, _ context.CancelFunc) {
		causes = make(chan error, 1)
		id := m.add()
		time.Sleep(time.Second)
		m.set(func(m *memory) { m.renew = task.ErrSessionLost })
		time.Sleep(4 * time.Second)
		require.ErrorIs(t, <-causes, task.ErrSessionLost)
		synctest.Wait()
		require.Len(t, m.sessions, 2)
		require.NotEqual(t, m.sessions[0], m.sessions[1])
		_, _, ended := m.end(id)
		require.False(t, ended)

		m.set(func(m *memory) { m.due = append(m.due, id) }) // as its next attempt
		time.Sleep(time.Second)
		synctest.Wait()
		end, _, ended := m.end(id)
		require.True(t, ended)
		require.Equal(t, 2, end.Attempt)
	})
}

// A handler has TASK_TIMEOUT. One that ignores its context is given up two seconds
// later, and holds its slot until it returns.
func TestTimeouts(t *testing.T) {
	var release chan struct{}
	deaf := func(context.Context, *task.Task) (json.RawMessage, error) {
		<-release
		return nil, nil
	}
	bubble(t, calm, untilCancelled, func(t *testing.T, m *memory, _ context.CancelFunc) {
		begun, id := time.Now(), m.add()
		time.Sleep(calm.TaskTimeout + time.Second)
		synctest.Wait()
		end, at, ended := m.end(id)
		require.True(t, ended)
		require.Equal(t, task.Timeout, end.Failure.Code)
		require.WithinRange(t, at, begun.Add(calm.TaskTimeout), begun.Add(calm.TaskTimeout+550*time.Millisecond))
	})
	bubble(t, calm, deaf, func(t *testing.T, m *memory, _ context.CancelFunc) {
		release = make(chan struct{})
		begun, ids := time.Now(), []task.ID{m.add(), m.add()}
		time.Sleep(calm.TaskTimeout + 3*time.Second)
		third := m.add()
		synctest.Wait()
		for _, id := range ids {
			end, at, ended := m.end(id)
			require.True(t, ended)
			require.Equal(t, task.Timeout, end.Failure.Code)
			require.Contains(t, end.Failure.Message, "did not return")
			require.False(t, at.Before(begun.Add(calm.TaskTimeout+2*time.Second)))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Zero(t, m.attempt[third], "both slots are taken")
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, m.attempt[third])
		require.Len(t, m.ended, 3, "an end that was recorded is not recorded again")
	})
}

// A worker that is told to stop claims no more, lets handlers end within the drain
// time, and cancels them then. It does not wait for those that do not listen.
func TestTheDrain(t *testing.T) {
	bubble(t, calm, untilCancelled, func(t *testing.T, m *memory, stop context.CancelFunc) {
		id := m.add()
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		m.add()
		time.Sleep(calm.Drain + time.Second)
		synctest.Wait()
		end, at, ended := m.end(id)
		require.True(t, ended)
		require.Equal(t, task.WorkerStopped, end.Failure.Code)
		require.Equal(t, begun.Add(calm.Drain), at)
		require.Len(t, m.due, 1, "nothing is claimed after the signal")
	})
	var release chan struct{}
	bubble(t, calm, func(context.Context, *task.Task) (json.RawMessage, error) {
		<-release
		return nil, nil
	}, func(t *testing.T, m *memory, stop context.CancelFunc) {
		release = make(chan struct{})
		m.add()
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		time.Sleep(calm.Drain + 6*time.Second)
		synctest.Wait()
		require.Equal(t, begun.Add(calm.Drain+5*time.Second), m.over)
		close(release)
	})
}

// An end that Postgres does not take is tried again, ever more slowly and never later
// than every 7.5 s, and its slot stays taken.
func TestEndsAreTriedAgain(t *testing.T) {
	one := calm
	one.Concurrency = 1
	bubble(t, one, doNothing, func(t *testing.T, m *memory, _ context.CancelFunc) {
		m.set(func(m *memory) { m.finish = errAway })
		first, second := m.add(), m.add()
		time.Sleep(time.Minute)
		synctest.Wait()
		m.set(func(m *memory) {
			between := gaps(m.tries)
			require.Greater(t, len(between), 8)
			require.Less(t, between[0], 100*time.Millisecond)
			for _, gap := range between {
				require.LessOrEqual(t, gap, 7500*time.Millisecond)
			}
			require.Greater(t, between[len(between)-1], 2*time.Second)
			require.Equal(t, map[task.ID]int{first: 1}, m.attempt, "the only slot is taken")
			m.finish = nil
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Len(t, m.ended, 2)
		require.Equal(t, map[task.ID]int{first: 1, second: 1}, m.attempt)
	})
}

// While Redis fails, claims are tried again after pauses of at most 1.5 s.
func TestClaimsAreTriedAgain(t *testing.T) {
	bubble(t, calm, doNothing, func(t *testing.T, m *memory, _ context.CancelFunc) {
		m.set(func(m *memory) { m.claim = errAway })
		time.Sleep(time.Minute)
		synctest.Wait()
		m.set(func(m *memory) {
			between := gaps(m.tries)
			require.Greater(t, len(between), 30)
			require.Less(t, between[0], 50*time.Millisecond)
			for _, gap := range between {
				require.LessOrEqual(t, gap, 1500*time.Millisecond)
			}
			m.claim = nil
		})
		id := m.add()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, _, ended := m.end(id)
		require.True(t, ended)
	})
}
