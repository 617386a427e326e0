package wheel_test

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timewheel/timewheel/internal/task"
)

// reference is what the ring of one type must be: two plain maps. A score
// that Redis' clock decided is bracketed by two looks at that clock, and from
// then on it is exact.
type reference struct {
	f       *fixture
	due     map[task.ID]int64 // when it is due, in µs
	claimed map[task.ID]int64 // when the claim lapses, in µs
	now     int64             // Redis' clock when the test began, in µs
}

// all are the tasks there are: few, so that operations meet.
var all = func() (ids []task.ID) {
	for i := range 12 {
		ids = append(ids, task.ID{0: 0x01, 6: 0x70, 8: 0x80, 15: byte(i)})
	}
	return ids
}()

func TestWheelIsWhatItsReferenceIs(t *testing.T) {
	t.Parallel()
	f := open(t)
	rapid.Check(t, func(t *rapid.T) {
		require.NoError(t, f.redis.FlushDB(t.Context()).Err())
		r := &reference{f: f, due: map[task.ID]int64{}, claimed: map[task.ID]int64{}, now: f.now(t).UnixMicro()}
		t.Repeat(map[string]func(*rapid.T){
			"":        r.check,
			"index":   r.index,
			"repair":  r.repair,
			"claim":   r.claim,
			"release": r.release,
			"revive":  func(t *rapid.T) { r.claimUpTo(t, 0) },
			"remove":  r.remove,
		})
	})
}

// drawDue draws tasks that are far from now, so that the time that the test
// takes decides nothing.
func (r *reference) drawDue(t *rapid.T) []task.Due {
	ids := drawIDs(t, "tasks")
	tasks := make([]task.Due, len(ids))
	for i, id := range ids {
		off := rapid.SampledFrom([]time.Duration{-time.Hour, time.Hour}).Draw(t, "side")
		off += time.Duration(rapid.IntRange(0, 3).Draw(t, "off")) * time.Microsecond
		tasks[i] = task.Due{Type: "foo", ID: id, At: time.UnixMicro(r.now).Add(off)}
	}
	return tasks
}

func drawIDs(t *rapid.T, label string) []task.ID {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 5, rapid.ID[task.ID]).Draw(t, label)
}

func (r *reference) index(t *rapid.T) {
	tasks := r.drawDue(t)
	require.NoError(t, r.f.Index(t.Context(), tasks))
	for _, d := range tasks {
		r.due[d.ID] = d.At.UnixMicro()
	}
}

func (r *reference) repair(t *rapid.T) {
	tasks := r.drawDue(t)
	added, err := r.f.Repair(t.Context(), tasks)
	require.NoError(t, err)
	want := 0
	for _, d := range tasks {
		at, due := r.due[d.ID]
		_, claimed := r.claimed[d.ID]
		if !claimed && (!due || at > max(d.At.UnixMicro(), r.f.now(t).UnixMicro())) {
			r.due[d.ID] = d.At.UnixMicro()
			want++
		}
	}
	require.Equal(t, want, added)
}

func (r *reference) claim(t *rapid.T) {
	r.claimUpTo(t, rapid.IntRange(0, 6).Draw(t, "limit"))
}

func (r *reference) claimUpTo(t *rapid.T, limit int) {
	lapse := rapid.SampledFrom([]time.Duration{0, never}).Draw(t, "lapse")
	before := r.f.now(t)
	ids, wait, err := r.f.Claim(t.Context(), limit, lapse)
	require.NoError(t, err)
	after := r.f.now(t)

	// What lapsed comes last, since it is due from now on.
	ready := r.ready()
	revived := r.lapsed(before)
	for _, id := range revived {
		delete(r.claimed, id)
		if _, due := r.due[id]; !due {
			ready = append(ready, id)
		}
	}
	n := min(limit, len(ready))
	require.Equal(t, ready[:n], append([]task.ID{}, ids...))
	for _, id := range ids {
		delete(r.due, id)
		r.claimed[id] = r.stamped(t, claimedKey, id, before.Add(lapse), after.Add(lapse))
	}
	for _, id := range ready[n:] {
		if _, due := r.due[id]; !due {
			r.due[id] = r.stamped(t, dueKey, id, before, after)
		}
	}
	require.Equal(t, len(revived), r.f.Revived())
	r.requireWait(t, wait, len(ready) > n, before, after)
}

// requireWait wants the time until the first that is due or lapses.
func (r *reference) requireWait(t *rapid.T, wait time.Duration, more bool, before, after time.Time) {
	first := int64(math.MaxInt64)
	for _, at := range slices.Concat(slices.Collect(maps.Values(r.due)), slices.Collect(maps.Values(r.claimed))) {
		first = min(first, at)
	}
	switch {
	case more:
		require.Zero(t, wait)
	case first == math.MaxInt64:
		require.Negative(t, wait)
	default:
		require.LessOrEqual(t, wait, max(time.Microsecond, time.UnixMicro(first).Sub(before)))
		require.GreaterOrEqual(t, wait, max(time.Microsecond, time.UnixMicro(first).Sub(after)))
	}
}

// ready is what is due and must be handed out, in order.
func (r *reference) ready() []task.ID {
	ids := []task.ID{}
	for _, id := range sortedByScore(r.due) {
		if r.due[id] <= r.now+time.Hour.Microseconds()/2 {
			ids = append(ids, id)
		}
	}
	return ids
}

// lapsed are the claims that had lapsed, in the order of their names.
func (r *reference) lapsed(now time.Time) (ids []task.ID) {
	for id, lapses := range r.claimed {
		if lapses <= now.UnixMicro() {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b task.ID) int { return strings.Compare(a.String(), b.String()) })
	return ids
}

func (r *reference) release(t *rapid.T) {
	ids := drawIDs(t, "released")
	dropped := rapid.IntRange(0, len(ids)).Draw(t, "dropped")
	waits := make([]task.DueIn, 0, len(ids))
	for _, id := range ids[dropped:] {
		wait := rapid.SampledFrom([]time.Duration{-time.Hour, 0, time.Hour}).Draw(t, "wait")
		waits = append(waits, task.DueIn{Type: "foo", ID: id, Delay: wait})
	}
	before := r.f.now(t)
	require.NoError(t, r.f.Release(t.Context(), ids[:dropped], waits))
	after := r.f.now(t)
	for _, id := range ids {
		delete(r.claimed, id)
	}
	for _, w := range waits {
		if _, due := r.due[w.ID]; !due {
			in := max(0, w.Delay)
			r.due[w.ID] = r.stamped(t, dueKey, w.ID, before.Add(in), after.Add(in))
		}
	}
}

func (r *reference) remove(t *rapid.T) {
	ids := drawIDs(t, "removed")
	require.NoError(t, r.f.Remove(t.Context(), ids))
	for _, id := range ids {
		delete(r.due, id)
	}
}

// stamped is a score that Redis' clock gave, between two looks at it.
func (r *reference) stamped(t *rapid.T, key string, id task.ID, from, to time.Time) int64 {
	score := r.f.score(t, key, id.String())
	require.GreaterOrEqual(t, score, from.UnixMicro())
	require.LessOrEqual(t, score, to.UnixMicro())
	return score
}

// check compares all that Redis holds.
func (r *reference) check(t *rapid.T) {
	for key, want := range map[string]map[task.ID]int64{dueKey: r.due, claimedKey: r.claimed} {
		have, err := r.f.redis.ZRangeWithScores(t.Context(), key, 0, -1).Result()
		require.NoError(t, err)
		got := map[task.ID]int64{}
		for _, z := range have {
			got[uuid.MustParse(z.Member.(string))] = int64(z.Score)
		}
		require.Equal(t, want, got, key)
	}
}

// sortedByScore orders as Redis does: equal scores by the members' text.
func sortedByScore(scores map[task.ID]int64) []task.ID {
	ids := make([]task.ID, 0, len(scores))
	for id := range scores {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b task.ID) int {
		return cmp.Or(cmp.Compare(scores[a], scores[b]), strings.Compare(a.String(), b.String()))
	})
	return ids
}
