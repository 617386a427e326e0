package maintenance_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/task"
)

func TestCascadeMovesTheWindowAndNoMore(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(nil)
	overdue := f.insert(t, 10, -never, time.Second)
	near := f.insert(t, 10, soon, time.Second)
	f.insert(t, 10, horizon+time.Minute, time.Second)
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, append(overdue, near...))

	// The wheel turns: what was ahead comes within the horizon.
	wider := f.maintainer(func(c *maintenance.Config) { c.Horizon = 2 * horizon })
	f.release(t)
	require.NoError(t, wider.Lead(t.Context()))
	require.Len(t, f.indexed(t), 30)
}

// release lets the term of the node that turns the wheel have passed.
func (f *fixture) release(t *testing.T) {
	t.Helper()
	require.NoError(t, f.redis.HSet(t.Context(), epochKey, "leader_until", 1).Err())
}

// What the cascade passed it does not read again, but for the page it is at.
func TestCascadeGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	f := open(t)
	ring := &hooked{Wheel: f.ring}
	k := f.maintainerOf(f.db, ring, nil)
	f.insert(t, 3*maintenance.PageSize, soon, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	seen := 0
	ring.repair = func(page []task.Due) error {
		seen += len(page)
		return nil
	}
	require.NoError(t, k.Lead(t.Context()))
	require.Zero(t, seen)
}

// A thousand is a page. That many and more at one instant must neither be
// passed over nor hold the cascade up.
func TestCascadeOfManyTasksAtOneInstant(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.insert(t, 10*maintenance.PageSize, soon, 0)
	ids = append(ids, f.insert(t, 10, soon+time.Minute, 0)...)
	require.NoError(t, f.maintainer(nil).Lead(t.Context()))
	f.requireIndexed(t, ids)
}

// A node that dies in the middle of such an instant must not have reported it
// as done.
func TestCascadeThatBreaksOffIsContinuedByAnother(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.NoError(t, f.maintainer(nil).Lead(t.Context()))
	f.release(t)
	heir := f.maintainer(nil)
	require.NoError(t, heir.Lead(t.Context())) // its first audit is behind it
	require.NoError(t, f.redis.FlushDB(t.Context()).Err())
	ids := f.insert(t, 4*maintenance.PageSize, soon, 0)

	ring := &hooked{Wheel: f.ring}
	pages := 0
	ring.repair = func([]task.Due) error {
		pages++
		if pages == 3 {
			return assert.AnError
		}
		return nil
	}
	require.ErrorIs(t, f.maintainerOf(f.db, ring, nil).Lead(t.Context()), assert.AnError)
	require.Len(t, f.indexed(t), 2*maintenance.PageSize)

	require.NoError(t, heir.Lead(t.Context()))
	require.Len(t, f.indexed(t), 2*maintenance.PageSize, "the other has the right for its term")
	f.release(t)
	require.NoError(t, heir.Lead(t.Context()))
	f.requireIndexed(t, ids)
}

func TestTheRightToTurnLastsForItsTerm(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.NoError(t, f.maintainer(nil).Lead(t.Context()))
	now, err := f.redis.Time(t.Context()).Result()
	require.NoError(t, err)
	until, err := f.redis.HGet(t.Context(), epochKey, "leader_until").Int64()
	require.NoError(t, err)
	require.WithinRange(t, time.UnixMicro(until), now, now.Add(maintenance.LeaderTerm))
}

// Redis lost everything while tasks are ahead: all of the window comes back,
// and what is due first comes first.
func TestLostWheelIsRebuiltSoonestFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
	ring := &hooked{Wheel: f.ring}
	k := f.maintainerOf(f.db, ring, nil)
	ids := f.insert(t, 5*maintenance.PageSize, time.Minute, 100*time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids)

	require.NoError(t, f.redis.FlushDB(t.Context()).Err())
	var order []task.Due
	ring.repair = func(page []task.Due) error {
		order = append(order, page...)
		return nil
	}
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids)
	require.Len(t, order, len(ids))
	require.True(t, slices.IsSortedFunc(order, func(a, b task.Due) int { return a.At.Compare(b.At) }))
}

// Redis is emptied while it is rebuilt. What was indexed before that is gone,
// so the rebuild must not go on as if it stood there.
func TestWheelThatIsLostDuringItsRebuildIsRebuiltAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	ring := &hooked{Wheel: f.ring}
	k := f.maintainerOf(f.db, ring, nil)
	ids := f.insert(t, 5*maintenance.PageSize, soon, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, f.redis.FlushDB(t.Context()).Err())
	pages := 0
	ring.repair = func([]task.Due) error {
		pages++
		if pages == 3 {
			return f.redis.FlushDB(t.Context()).Err()
		}
		return nil
	}
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids)
}

// Any number of nodes, whatever becomes of the right to turn, end up with the
// same ring.
func TestKeepersTogetherMakeOneRing(t *testing.T) {
	t.Parallel()
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var nodes errgroup.Group
	for range 3 {
		k := f.maintainer(func(c *maintenance.Config) {
			c.Tick, c.Audit = 5*time.Millisecond, 20*time.Millisecond
		})
		nodes.Go(func() error { return k.Run(ctx) })
	}
	var ids []string
	for range 5 {
		ids = append(ids, f.insert(t, 500, soon, time.Millisecond)...)
		require.NoError(t, f.redis.FlushDB(t.Context()).Err())
		require.Eventually(t, func() bool {
			// Nobody keeps the right for long, and some hold it together.
			require.NoError(t, f.redis.HDel(t.Context(), epochKey, "leader", "leader_until").Err())
			return len(f.indexed(t)) == len(ids)
		}, patience, glance)
	}
	f.requireIndexed(t, ids)
	cancel()
	require.NoError(t, nodes.Wait())
}
