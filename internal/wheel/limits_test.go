package wheel_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

const limitsKey = "timewheel:{foo}:limits"

// claimWithin claims of the type foo within limits.
func (f *fixture) claimWithin(t *testing.T, want task.Want) task.Claimed {
	t.Helper()
	want.Type = "foo"
	claimed := f.Wheel.Claim(t.Context(), []task.Want{want}, never)[0]
	require.NoError(t, claimed.Err)
	return claimed
}

// What waits for a place is not handed out, and costs nothing until one is free.
func TestClaimsLeaveWhatThereIsNoRoomFor(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.index(t, 10, f.now(t).Add(-time.Hour))
	three := task.Want{Limit: 10, MaxRunning: 3}
	claimed := f.claimWithin(t, three)
	require.Len(t, claimed.IDs, 3)
	require.Equal(t, 5*time.Second, claimed.Wait)
	require.Empty(t, f.claimWithin(t, three).IDs)

	heard := f.listen(t)
	agenda := f.next(t, task.Ask{Worker: alice, Settled: settled(1, claimed.Wait)})
	require.LessOrEqual(t, agenda.Entries[0].Wait, 5*time.Second)
	f.hold(t)
	require.NoError(t, f.AddRoom(t.Context(), map[string]int{"foo": 2}))
	require.Equal(t, []string{"foo", "0"}, heard()[:2])
	require.Len(t, f.claimWithin(t, three).IDs, 2)

	// What Postgres says raises it and never lowers it.
	require.NoError(t, f.RaiseRoom(t.Context(), map[string]int{"foo": 5, "none": 7}))
	require.NoError(t, f.RaiseRoom(t.Context(), map[string]int{"foo": -4}))
	require.Len(t, f.claimWithin(t, three).IDs, 5)
	require.NoError(t, f.AddRoom(t.Context(), map[string]int{"foo": 1}))
	require.Empty(t, f.claimWithin(t, three).IDs, "none is left")

	// A Redis that has lost it begins anew.
	require.NoError(t, f.redis.Del(t.Context(), limitsKey).Err())
	require.NoError(t, f.AddRoom(t.Context(), map[string]int{"foo": 1}))
	f.index(t, 10, f.now(t).Add(-time.Hour))
	require.Len(t, f.claimWithin(t, three).IDs, 3)
}

// A burst at once, and then one for each interval, exactly, though whoever asks comes a
// little late each time.
func TestClaimsKeepToTheRate(t *testing.T) {
	t.Parallel()
	f := open(t)
	const interval, burst = 40 * time.Millisecond, 5
	f.index(t, 50, f.now(t).Add(-time.Hour))
	rate := task.Want{Limit: 100, Interval: interval, Burst: burst}
	before := f.now(t)
	first := f.claimWithin(t, rate)
	require.Len(t, first.IDs, burst)
	require.LessOrEqual(t, first.Wait, interval)
	require.Positive(t, first.Wait)
	for n := burst; n < burst+10; {
		claimed := f.claimWithin(t, rate)
		n += len(claimed.IDs)
		// One more than that is for those who come a little late.
		require.LessOrEqual(t, n, burst+int(f.now(t).Sub(before)/interval)+1)
		if len(claimed.IDs) == 0 {
			require.Positive(t, claimed.Wait)
			require.LessOrEqual(t, claimed.Wait, interval)
		}
	}

	// A time that was granted by another clock is none.
	require.NoError(t, f.redis.HSet(t.Context(), limitsKey, "tat", "9e15").Err())
	require.Len(t, f.claimWithin(t, rate).IDs, burst)
	require.NoError(t, f.redis.HSet(t.Context(), limitsKey, "tat", "soon", "room", "many").Err())
	require.Len(t, f.claimWithin(t, rate).IDs, burst)
}
