package scheduler_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
)

// moveTo decides to move a task.
func moveTo(in time.Duration) func(*task.Task) (task.Change, error) {
	at := task.Ceil(time.Now().Add(in))
	return func(*task.Task) (task.Change, error) { return task.Change{ExecutionTime: &at}, nil }
}

// Moves go over the edge of the window in both directions, and within it.
func TestAMovedTaskIsIndexedAtItsNewTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	id := f.create(t, s, draft(400*never))
	f.requireIndexed(t, nil)
	for _, in := range []time.Duration{
		300 * time.Millisecond, soon, horizon + scheduler.Margin - time.Second, 0, -never,
	} {
		moved, err := s.Change(t.Context(), id, moveTo(in))
		require.NoError(t, err)
		require.Equal(t, moved.ExecutionTime, moved.DueAt)
		f.requireIndexed(t, []string{id.String()})
		_, err = s.Change(t.Context(), id, moveTo(horizon+scheduler.Margin+time.Minute))
		require.NoError(t, err)
		f.requireIndexed(t, nil)
	}
}

func TestATaskThatIsRunNowIsIndexedAtOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	now := func(*task.Task) (task.Change, error) { return task.Change{Now: true}, nil }
	for _, in := range []time.Duration{soon, 400 * never, -never} {
		id := f.create(t, s, draft(in))
		before := time.Now().Add(-time.Minute) // the clocks may differ
		for range 2 {
			due, err := s.Change(t.Context(), id, now)
			require.NoError(t, err)
			require.True(t, due.DueAt.After(before))
			f.requireIndexed(t, []string{id.String()})
		}
		f.session(t, id)
		_, err := s.Change(t.Context(), id, now)
		require.ErrorAs(t, err, new(*task.StatusError))
		require.NoError(t, f.ring.Remove(t.Context(), []task.Ref{{ID: id, Type: "foo"}}))
	}
}

func TestAChangeThatIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	id := f.create(t, s, draft(-time.Second))
	_, err := s.Change(t.Context(), id, func(*task.Task) (task.Change, error) { return task.Change{}, assert.AnError })
	require.ErrorIs(t, err, assert.AnError)
	_, err = s.Change(t.Context(), uuid.New(), moveTo(soon))
	require.ErrorIs(t, err, task.ErrNotFound)
	f.session(t, id)
	_, err = s.Change(t.Context(), id, moveTo(soon))
	var refused *task.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, task.Started, refused.Status)
}

// Whoever loses a race reads again: no change undoes another one.
func TestConcurrentChangesAllCount(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	id := f.create(t, s, draft(soon))
	const changers, each = 4, 10
	var asked atomic.Int64
	var all errgroup.Group
	for range changers {
		all.Go(func() error {
			for range each {
				if _, err := s.Change(t.Context(), id, func(read *task.Task) (task.Change, error) {
					asked.Add(1)
					return task.Change{MaxAttempts: read.MaxAttempts + 1}, nil
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	found, err := f.db.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1+changers*each, found.MaxAttempts)
	require.GreaterOrEqual(t, asked.Load(), int64(changers*each))
}
