package wheel_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
)

func TestClaimTakesWhatIsDueSoonestFirst(t *testing.T) {
	t.Parallel()
	f := open(t)
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
	f := open(t)
	ids, next, err := f.Claim(t.Context(), 10, never)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.Negative(t, next)

	at := f.now(t).Add(time.Hour)
	f.index(t, 2, at)
	before := f.now(t)
	ids, next, err = f.Claim(t.Context(), 10, never)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.LessOrEqual(t, next, at.Sub(before))
	require.GreaterOrEqual(t, next, at.Sub(f.now(t)))
}

// Nothing may be handed out before its microsecond, and everything after it.
func TestClaimIsNeverEarly(t *testing.T) {
	t.Parallel()
	f := open(t)
	for range 20 {
		at := f.now(t).Add(3 * time.Millisecond)
		id := f.index(t, 1, at)[0]
		var ids []task.ID
		for len(ids) == 0 {
			var wait time.Duration
			var err error
			ids, wait, err = f.Claim(t.Context(), 1, never)
			require.NoError(t, err)
			if len(ids) == 0 {
				require.LessOrEqual(t, wait, 3*time.Millisecond)
			}
		}
		require.Equal(t, []task.ID{id}, ids)
		lapses := time.UnixMicro(f.score(t, claimedKey, id.String()))
		require.False(t, lapses.Add(-never).Before(at), "claimed %s early", at.Sub(lapses.Add(-never)))
	}
}

func TestOneClaimIsBoundedByAPage(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.index(t, wheel.Page+1, f.now(t).Add(-time.Hour))
	require.Equal(t, ids[:wheel.Page], f.claim(t, 10*wheel.Page, never))
	require.Equal(t, ids[wheel.Page:], f.claim(t, 10*wheel.Page, never))
}

func TestConcurrentClaimsShareWithoutOverlap(t *testing.T) {
	t.Parallel()
	f := open(t)
	want := f.index(t, 3000, f.now(t).Add(-time.Hour))
	var mu sync.Mutex
	var got []task.ID
	var claimers sync.WaitGroup
	for range 8 {
		claimers.Go(func() {
			for {
				ids, _, err := f.Claim(t.Context(), 7, never)
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
	f := open(t)
	past := f.now(t).Add(-time.Hour)
	id := f.index(t, 1, past)[0]
	for _, stray := range []string{"hello", "", "\x00\xff", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"} {
		f.put(t, dueKey, stray, past)
	}
	ids, next, err := f.Claim(t.Context(), 10, 0)
	require.NoError(t, err)
	require.Equal(t, time.Microsecond, next, "the claim has lapsed")
	require.Equal(t, []task.ID{id}, ids)
	f.revive(t)
	require.NoError(t, f.Scan(t.Context(), "foo", func([]task.ID) error { return nil }))
	require.Equal(t, []string{id.String()}, f.members(t, dueKey))
	require.Empty(t, f.members(t, claimedKey))
}

func TestReleaseDropsAndPutsBack(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.index(t, 5, f.now(t).Add(-time.Hour))
	require.Equal(t, ids, f.claim(t, 5, never))

	before := f.now(t)
	back := []task.DueIn{{Type: "foo", ID: ids[2], Delay: time.Minute}, {Type: "foo", ID: ids[3], Delay: -time.Minute}}
	require.NoError(t, f.Release(t.Context(), ids[:2], back))
	after := f.now(t)
	require.Equal(t, texts(ids[4:]), f.members(t, claimedKey))
	require.Equal(t, texts([]task.ID{ids[3], ids[2]}), f.members(t, dueKey))
	require.WithinRange(t, time.UnixMicro(f.score(t, dueKey, ids[2].String())), before.Add(time.Minute), after.Add(time.Minute))
	require.WithinRange(t, time.UnixMicro(f.score(t, dueKey, ids[3].String())), before, after)
	require.Equal(t, []task.ID{ids[3]}, f.claim(t, 5, never))

	// Nobody claimed these any more: the answer is the same.
	require.NoError(t, f.Release(t.Context(), []task.ID{ids[0], uuid.New()}, nil))
	require.NoError(t, f.Release(t.Context(), nil, nil))
}

// Whoever indexed the task since the claim knew better than the claimer.
func TestPutBackDoesNotMoveWhatIsDueAlready(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.index(t, 1, f.now(t).Add(-time.Hour))[0]
	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	at := f.now(t).Add(time.Hour)
	require.NoError(t, f.Index(t.Context(), []task.Due{{Type: "foo", ID: id, At: at}}))
	require.NoError(t, f.Release(t.Context(), nil, []task.DueIn{{Type: "foo", ID: id}}))
	require.Equal(t, at.UnixMicro(), f.score(t, dueKey, id.String()))
	require.Empty(t, f.members(t, claimedKey))
}

func TestReviveTakesOnlyLapsedClaims(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.index(t, 2*wheel.Page, f.now(t).Add(-time.Hour))
	held := f.claim(t, 10, never)
	var lapsed []task.ID
	for range 2 {
		// Beside claims that lapse, and are due again with the next claim.
		lapsed = append(lapsed, f.claim(t, 100, 0)...)
	}
	require.NoError(t, f.redis.Del(t.Context(), dueKey).Err())
	before := f.now(t)
	require.Equal(t, 100, f.revive(t))
	require.ElementsMatch(t, texts(lapsed[100:]), f.members(t, dueKey))
	require.ElementsMatch(t, texts(held), f.members(t, claimedKey))
	require.False(t, time.UnixMicro(f.score(t, dueKey, f.members(t, dueKey)[0])).Before(before))
	require.Zero(t, f.revive(t))
}
