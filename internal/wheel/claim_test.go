package wheel_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestClaimTakesWhatIsDueSoonestFirst(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	now := f.now(t)
	later := f.index(t, 3, now.Add(-time.Second))
	first := f.index(t, 3, now.Add(-time.Hour))
	ahead := f.index(t, 3, now.Add(time.Hour))
	due := append(slices.Clone(first), later...)

	before := f.now(t)
	require.Equal(t, due[:4], f.claim(t, 4, time.Minute))
	after := f.now(t)
	require.ElementsMatch(t, texts(due[:4]), f.members(t, claimedKey))
	for _, id := range due[:4] {
		lapses := time.UnixMicro(f.score(t, claimedKey, id.String()))
		require.WithinRange(t, lapses, before.Add(time.Minute), after.Add(time.Minute))
	}
	require.Equal(t, due[4:], f.claim(t, 4, time.Minute))
	require.Equal(t, texts(ahead), f.members(t, dueKey))
}

// The answer to a claim in vain is how long to sleep, by Redis' clock.
func TestClaimOfNothingSaysHowLongToWait(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	ids, next, err := f.Claim(t.Context(), 0, 10, never)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.Negative(t, next)

	at := f.now(t).Add(time.Hour)
	f.index(t, 2, at)
	before := f.now(t)
	ids, next, err = f.Claim(t.Context(), 0, 10, never)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.LessOrEqual(t, next, at.Sub(before))
	require.GreaterOrEqual(t, next, at.Sub(f.now(t)))
}

// Nothing may be handed out before its microsecond, and everything after it.
func TestClaimIsNeverEarly(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	for range 20 {
		at := f.now(t).Add(3 * time.Millisecond)
		id := f.index(t, 1, at)[0]
		var ids []task.ID
		for len(ids) == 0 {
			var wait time.Duration
			var err error
			ids, wait, err = f.Claim(t.Context(), 0, 1, never)
			require.NoError(t, err)
			require.LessOrEqual(t, wait, 3*time.Millisecond)
		}
		require.Equal(t, []task.ID{id}, ids)
		lapses := time.UnixMicro(f.score(t, claimedKey, id.String()))
		require.False(t, lapses.Add(-never).Before(at), "claimed %s early", at.Sub(lapses.Add(-never)))
	}
}

func TestOneClaimIsBoundedByAPage(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	ids := f.index(t, wheel.Page+1, f.now(t).Add(-time.Hour))
	require.Equal(t, ids[:wheel.Page], f.claim(t, 10*wheel.Page, never))
	require.Equal(t, ids[wheel.Page:], f.claim(t, 10*wheel.Page, never))
}

func TestConcurrentClaimsShareWithoutOverlap(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	want := f.index(t, 3000, f.now(t).Add(-time.Hour))
	var mu sync.Mutex
	var got []task.ID
	var claimers sync.WaitGroup
	for range 8 {
		claimers.Go(func() {
			for {
				ids, _, err := f.Claim(t.Context(), 0, 7, never)
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				if len(ids) == 0 {
					return
				}
				mu.Lock()
				got = append(got, ids...)
				twice := len(got) > len(want)
				mu.Unlock()
				if twice {
					return
				}
			}
		})
	}
	claimers.Wait()
	require.ElementsMatch(t, texts(want), texts(got))
}

// A member that somebody typed is nobody's task. It costs neither an error nor
// the tasks beside it, and does not come back for ever.
func TestStraysAreNotHandedOut(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	past := f.now(t).Add(-time.Hour)
	id := f.index(t, 1, past)[0]
	for _, stray := range []string{"hello", "", "\x00\xff", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"} {
		f.put(t, dueKey, stray, past)
	}
	ids, next, err := f.Claim(t.Context(), 0, 10, 0)
	require.NoError(t, err)
	require.Zero(t, next)
	require.Equal(t, []task.ID{id}, ids)
	_, err = f.Revive(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Scan(t.Context(), func([]task.ID) error { return nil }))
	require.Equal(t, []string{id.String()}, f.members(t, dueKey))
	require.Empty(t, f.members(t, claimedKey))
}

func TestReleaseDropsAndPutsBack(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	ids := f.index(t, 5, f.now(t).Add(-time.Hour))
	require.Equal(t, ids, f.claim(t, 5, never))

	before := f.now(t)
	back := []task.DueIn{{ID: ids[2], Delay: time.Minute}, {ID: ids[3], Delay: -time.Minute}}
	require.NoError(t, f.Release(t.Context(), 0, ids[:2], back))
	after := f.now(t)
	require.Equal(t, texts(ids[4:]), f.members(t, claimedKey))
	require.Equal(t, texts([]task.ID{ids[3], ids[2]}), f.members(t, dueKey))
	require.WithinRange(t, time.UnixMicro(f.score(t, dueKey, ids[2].String())), before.Add(time.Minute), after.Add(time.Minute))
	require.WithinRange(t, time.UnixMicro(f.score(t, dueKey, ids[3].String())), before, after)
	require.Equal(t, []task.ID{ids[3]}, f.claim(t, 5, never))

	// Nobody claimed these any more: the answer is the same.
	require.NoError(t, f.Release(t.Context(), 0, []task.ID{ids[0], uuid.New()}, nil))
	require.NoError(t, f.Release(t.Context(), 0, nil, nil))
}

// Whoever indexed the task since the claim knew better than the claimer.
func TestPutBackDoesNotMoveWhatIsDueAlready(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	id := f.index(t, 1, f.now(t).Add(-time.Hour))[0]
	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	at := f.now(t).Add(time.Hour)
	require.NoError(t, f.Index(t.Context(), []task.Due{{ID: id, At: at}}))
	require.NoError(t, f.Release(t.Context(), 0, nil, []task.DueIn{{ID: id}}))
	require.Equal(t, at.UnixMicro(), f.score(t, dueKey, id.String()))
	require.Empty(t, f.members(t, claimedKey))
}

func TestReviveTakesOnlyLapsedClaims(t *testing.T) {
	t.Parallel()
	f := open(t, 2)
	var held, lapsed []string
	for shard, name := range []string{"0", "1"} {
		due := dueFrom(4*wheel.Page, f.now(t).Add(-time.Hour))
		due = slices.DeleteFunc(due, func(d task.Due) bool { return wheel.ShardOf(d.ID, 2) != shard })
		require.NoError(t, f.Index(t.Context(), due))
		first, _, err := f.Claim(t.Context(), shard, 10, never)
		require.NoError(t, err)
		held = append(held, texts(first)...)
		for range 2 {
			rest, _, err := f.Claim(t.Context(), shard, wheel.Page, 0)
			require.NoError(t, err)
			lapsed = append(lapsed, texts(rest)...)
		}
		require.NoError(t, f.redis.Del(t.Context(), "timewheel:{"+name+"}:due").Err())
	}
	require.Greater(t, len(lapsed), 3*wheel.Page)
	before := f.now(t)
	n, err := f.Revive(t.Context())
	require.NoError(t, err)
	require.Len(t, lapsed, n)
	due := append(f.members(t, dueKey), f.members(t, "timewheel:{1}:due")...)
	require.ElementsMatch(t, lapsed, due)
	claimed := append(f.members(t, claimedKey), f.members(t, "timewheel:{1}:claimed")...)
	require.ElementsMatch(t, held, claimed)
	require.False(t, time.UnixMicro(f.score(t, dueKey, f.members(t, dueKey)[0])).Before(before))

	n, err = f.Revive(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// Of all workers with nothing to do one waits for the next due time exactly, and is
// the one that is woken. The others come a little later, should it not come.
func TestOneWorkerWatches(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL(), 1) // channels are those of all databases of a server
	a, b := uuid.New(), uuid.New()
	claim := func(worker uuid.UUID, limit int) ([]task.ID, time.Duration, bool) {
		ids, next, watching, err := f.Wheel.Claim(t.Context(), 0, worker, 0, limit, never)
		require.NoError(t, err)
		// A watch lasts for 300 ms, which a busy machine may take between two lines.
		require.NoError(t, f.redis.Persist(t.Context(), watchKey).Err())
		return ids, next, watching
	}
	channel := f.redis.Subscribe(t.Context(), "timewheel:{0}:wake")
	defer channel.Close()
	_, err := channel.Receive(t.Context())
	require.NoError(t, err)
	woken := func() string {
		message, err := channel.ReceiveMessage(t.Context())
		require.NoError(t, err)
		return message.Payload
	}

	_, next, watching := claim(a, 10)
	require.True(t, watching)
	require.Negative(t, next)
	_, _, watching = claim(b, 10)
	require.False(t, watching)
	f.index(t, 2, f.now(t).Add(time.Hour))
	require.Equal(t, a.String(), woken())
	_, _, watching = claim(a, 10)
	require.True(t, watching)

	// One that takes less than is due, or as much as it can, calls all.
	f.index(t, 2, f.now(t).Add(-time.Second))
	require.Equal(t, a.String(), woken())
	ids, _, _ := claim(a, 1)
	require.Len(t, ids, 1)
	require.Empty(t, woken())
	_, _, watching = claim(b, 10)
	require.False(t, watching, "it got something")
	_, _, watching = claim(b, 10)
	require.True(t, watching, "no other worker watches")

	// A watcher that leaves calls all.
	require.NoError(t, f.Leave(t.Context(), 0, a))
	require.EqualValues(t, 1, f.redis.Exists(t.Context(), watchKey).Val(), "it did not watch")
	require.NoError(t, f.Leave(t.Context(), 0, b))
	require.Empty(t, woken())
	require.Zero(t, f.redis.Exists(t.Context(), watchKey).Val())
}

// A watcher that does not come back is replaced soon.
func TestAWatchEndsByItself(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	watches := func(worker uuid.UUID) bool {
		_, _, watching, err := f.Wheel.Claim(t.Context(), 0, worker, 0, 10, never)
		require.NoError(t, err)
		return watching
	}
	require.True(t, watches(uuid.New()))
	other := uuid.New()
	require.Eventually(t, func() bool { return watches(other) }, patience, 10*time.Millisecond)
}

// A worker is woken by what calls it or all, and not by what calls another one.
func TestAWorkerHearsItsOwnCalls(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL(), 1) // channels are those of all databases of a server
	calls := make(chan struct{}, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	var listener sync.WaitGroup
	listener.Go(func() { f.Wake(ctx, 0, claimer, func() { calls <- struct{}{} }) })
	defer listener.Wait()
	defer cancel()
	<-calls // the connection
	publish := func(payload string) {
		require.NoError(t, f.redis.Publish(t.Context(), "timewheel:{0}:wake", payload).Err())
	}
	for range 100 {
		publish(uuid.NewString())
	}
	publish(claimer.String())
	<-calls
	require.Less(t, len(calls), 50, "but for new connections")
	publish("")
	<-calls
}

// A worker that has much in hand loses the watch to one that has less.
func TestTheWatchGoesToWhoHasLess(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	a, b := uuid.New(), uuid.New()
	watches := func(worker uuid.UUID, load int) bool {
		_, _, watching, err := f.Wheel.Claim(t.Context(), 0, worker, load, 10, never)
		require.NoError(t, err)
		require.NoError(t, f.redis.Persist(t.Context(), watchKey).Err()) // as above
		return watching
	}
	require.True(t, watches(a, 0))
	require.False(t, watches(b, 0), "as much is not less")
	require.True(t, watches(a, 3))
	require.False(t, watches(b, 3))
	require.True(t, watches(b, 2))
	require.False(t, watches(a, 3), "it has lost the watch")
	require.False(t, watches(a, 2))
}

// A full Redis takes nothing new, and hands out exactly what it has.
func TestAFullRedisIsClaimedFrom(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL(), 1)
	ids := f.index(t, 3, f.now(t))
	require.NoError(t, f.redis.ConfigSet(t.Context(), "maxmemory", "1").Err())
	var full *wheel.UnusableError
	require.ErrorAs(t, f.Check(t.Context()), &full)
	require.True(t, full.Full)
	require.ErrorContains(t, full, "is full")
	got, _, err := f.Claim(t.Context(), 0, 10, never)
	require.NoError(t, err)
	require.ElementsMatch(t, ids, got)
	for range 2 {
		_, _, watching, err := f.Wheel.Claim(t.Context(), 0, uuid.New(), 0, 10, never)
		require.NoError(t, err)
		require.True(t, watching, "each waits for itself")
	}
}
