package worker_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// A handler that ignores the end of its context is given up two seconds later. Its neighbours
// keep their time, and one that returns what it has counts as done.
func TestAHandlerThatIgnoresItsCancellation(t *testing.T) {
	var release chan struct{}
	var deaf, polite atomic.Pointer[task.ID]
	four := calm
	four.Concurrency = 4
	bubble(t, four, func(ctx context.Context, tk *task.Task) (json.RawMessage, error) {
		if id := polite.Load(); id != nil && *id == tk.ID {
			<-ctx.Done()
			return json.RawMessage(`1`), nil
		}
		<-release
		return nil, nil
	}, func(t *testing.T, m *memory, _ context.CancelFunc) {
		release = make(chan struct{})
		var other task.ID
		m.set(func(m *memory) {
			ids := []task.ID{uuid.New(), uuid.New(), uuid.New()}
			deaf.Store(&ids[0])
			polite.Store(&ids[1])
			other = ids[2]
			m.due = append(m.due, ids...) // one batch
		})
		begun := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, m.attempt[other])
		cancelled := time.Now()
		m.set(func(m *memory) {
			m.cancels = []task.ID{*deaf.Load(), *polite.Load()}
			m.tell(m.sessions[0].String())
		})
		synctest.Wait()
		end, at, ended := m.end(*polite.Load())
		require.True(t, ended && end.Failure == nil && at.Equal(cancelled), "it was faster")

		time.Sleep(3 * time.Second)
		synctest.Wait()
		end, at, ended = m.end(*deaf.Load())
		require.True(t, ended)
		require.Equal(t, task.Cancelled, end.Failure.Code)
		require.Contains(t, end.Failure.Message, "did not return")
		require.Equal(t, cancelled.Add(2*time.Second), at)

		time.Sleep(calm.TaskTimeout)
		synctest.Wait()
		end, at, ended = m.end(other)
		require.True(t, ended)
		require.Equal(t, task.Timeout, end.Failure.Code)
		require.WithinRange(t, at, begun.Add(calm.TaskTimeout+2*time.Second), begun.Add(calm.TaskTimeout+3*time.Second))
		close(release)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, m.ended, 3)
	})
}

// A worker looks each second for what it is to cancel, and not at all while nothing runs. A
// message for another session makes it look no sooner.
func TestTheLookForWhatIsToBeCancelled(t *testing.T) {
	bubble(t, calm, untilCancelled, func(t *testing.T, m *memory, stop context.CancelFunc) {
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, m.looks)
		id := m.add()
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		require.InDelta(t, 10, m.looks, 1)
		m.set(func(m *memory) {
			m.cancels = []task.ID{id}
			m.tell(uuid.NewString())
		})
		synctest.Wait()
		_, _, ended := m.end(id)
		require.False(t, ended)
		stop() // it drains, and hears no message any more
		wished := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		end, at, ended := m.end(id)
		require.True(t, ended)
		require.Equal(t, task.Cancelled, end.Failure.Code)
		require.LessOrEqual(t, at.Sub(wished), time.Second)
	})
}
