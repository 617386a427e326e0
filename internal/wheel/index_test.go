package wheel_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
)

// People look inside by these names, so they are a contract.
func TestKeysAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	require.NoError(t, f.Index(t.Context(), []task.Due{{Type: "foo", ID: id, At: time.UnixMicro(1_700_000_000_123_457)}}))
	granted, _, err := f.Lead(t.Context(), uuid.New(), time.Minute, time.Hour, time.Time{})
	require.NoError(t, err)
	require.True(t, granted)

	keys, err := f.redis.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{dueKey, epochKey, agendaKey, marksKey}, keys)
	all, err := f.redis.ZRangeWithScores(t.Context(), dueKey, 0, -1).Result()
	require.NoError(t, err)
	require.Equal(t, []redis.Z{{Member: "01890a5d-ac96-774b-bcce-b302099a8057", Score: 1_700_000_000_123_457}}, all)

	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	require.Equal(t, []string{id.String()}, f.members(t, claimedKey))
	require.Empty(t, f.members(t, dueKey))
}

func TestTimesAreExactToTheMicrosecond(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, at := range []int64{
		0, 1, 1_700_000_000_000_001, 1_800_000_000_123_456, 1_800_000_000_123_457, 1_800_000_000_123_458,
		time.Date(2255, 6, 5, 23, 47, 34, 740991000, time.UTC).UnixMicro(),
	} {
		for name, index := range map[string]func([]task.Due) error{
			"index":  func(d []task.Due) error { return f.Index(t.Context(), d) },
			"repair": func(d []task.Due) error { _, err := f.Repair(t.Context(), d); return err },
		} {
			id := uuid.New()
			require.NoError(t, index([]task.Due{{Type: "foo", ID: id, At: time.UnixMicro(at)}}))
			require.Equal(t, at, f.score(t, dueKey, id.String()), name)
		}
	}
	before1970 := task.Due{Type: "foo", ID: uuid.New(), At: task.MinTime}
	require.NoError(t, f.Index(t.Context(), []task.Due{before1970}))
	require.Zero(t, f.score(t, dueKey, before1970.ID.String()))
}

func TestIndexSetsTheTimeWhateverItWas(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.index(t, 1, f.now(t).Add(-time.Minute))[0]
	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	for _, at := range []int64{5, 7, 6} {
		require.NoError(t, f.Index(t.Context(), []task.Due{{Type: "foo", ID: id, At: time.UnixMicro(at)}}))
		require.Equal(t, at, f.score(t, dueKey, id.String()))
	}
	require.NoError(t, f.Index(t.Context(), nil))
}

// A repair runs beside claims. If it touched what is claimed, a task would be
// handed out twice. What is there keeps its time, unless it waits although it is due earlier:
// it was moved, and Redis was not told.
func TestRepairAddsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := open(t)
	past := f.now(t).Add(-time.Minute)
	claimed := f.index(t, 2, past)
	require.Equal(t, claimed, f.claim(t, 2, never))
	lapses := f.score(t, claimedKey, claimed[0].String())
	present := f.index(t, 2, past.Add(time.Hour))
	overdue := f.index(t, 2, past)
	missing := dueFrom(3, past)

	asked := missing
	for _, id := range slices.Concat(claimed, overdue) {
		asked = append(asked, task.Due{Type: "foo", ID: id, At: past.Add(-time.Hour)})
	}
	for _, id := range present {
		asked = append(asked, task.Due{Type: "foo", ID: id, At: past.Add(2 * time.Hour)})
	}
	earlier := past.Add(30 * time.Minute)
	moved := f.index(t, 2, past.Add(90*time.Minute))
	for _, id := range moved {
		asked = append(asked, task.Due{Type: "foo", ID: id, At: earlier})
	}
	added, err := f.Repair(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, 5, added)
	require.ElementsMatch(t, texts(slices.Concat(idsOf(missing), present, overdue, moved)), f.members(t, dueKey))
	require.Equal(t, past.UnixMicro(), f.score(t, dueKey, overdue[0].String()))
	require.Equal(t, earlier.UnixMicro(), f.score(t, dueKey, moved[0].String()))
	require.Equal(t, past.Add(time.Hour).UnixMicro(), f.score(t, dueKey, present[0].String()))
	require.Equal(t, lapses, f.score(t, claimedKey, claimed[0].String()))

	added, err = f.Repair(t.Context(), asked)
	require.NoError(t, err)
	require.Zero(t, added)
}

func TestIndexInCountsFromRedisClock(t *testing.T) {
	t.Parallel()
	f := open(t)
	waits := map[time.Duration]time.Duration{-time.Hour: 0, 0: 0, 90 * time.Minute: 90 * time.Minute, time.Microsecond: time.Microsecond}
	for in, want := range waits {
		id := uuid.New()
		before := f.now(t)
		require.NoError(t, f.IndexIn(t.Context(), []task.DueIn{{Type: "foo", ID: id, Delay: in}}))
		at := time.UnixMicro(f.score(t, dueKey, id.String()))
		require.False(t, at.Before(before.Add(want)), "%s early", before.Add(want).Sub(at))
		require.False(t, at.After(f.now(t).Add(want)))
	}
}

// More than one script may take, over several types, in one call.
func TestManyTasksSpreadOverTheRings(t *testing.T) {
	t.Parallel()
	f := open(t)
	types := []string{"a", "a.b", "a-b"}
	tasks := dueFrom(4*wheel.Page+7, f.now(t).Add(-time.Hour))
	want := map[string][]string{}
	var all []task.Ref
	for i := range tasks {
		name := types[i%len(types)]
		tasks[i].Type = name
		want[name] = append(want[name], tasks[i].ID.String())
		all = append(all, task.Ref{ID: tasks[i].ID, Type: name})
	}
	added, err := f.Repair(t.Context(), tasks)
	require.NoError(t, err)
	require.Equal(t, len(tasks), added)
	size, err := f.Size(t.Context(), types)
	require.NoError(t, err)
	require.EqualValues(t, len(tasks), size)
	known, err := f.Types(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, types, known)
	for name, ids := range want {
		require.Equal(t, ids, f.members(t, "timewheel:{"+name+"}:due"))
	}

	claimed := f.Wheel.Claim(t.Context(), []task.Want{{Type: "a-b", Limit: 2}, {Type: "none", Limit: 2}, {Type: "a", Limit: 3}}, never)
	require.Equal(t, want["a-b"][:2], texts(claimed[0].IDs))
	require.Empty(t, claimed[1].IDs)
	require.Negative(t, claimed[1].Wait)
	require.Equal(t, want["a"][:3], texts(claimed[2].IDs))
	require.NoError(t, f.Wheel.Remove(t.Context(), all))
	size, err = f.Size(t.Context(), types)
	require.NoError(t, err)
	require.Zero(t, size)
	require.NoError(t, f.Wheel.Remove(t.Context(), nil))
}

func TestScanSeesEverythingAndDropsStrays(t *testing.T) {
	t.Parallel()
	f := open(t)
	tasks := dueFrom(2*wheel.Page+1, f.now(t).Add(time.Hour))
	require.NoError(t, f.Index(t.Context(), tasks))
	strays := []string{"hello", "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
	for _, stray := range strays {
		f.put(t, dueKey, stray, f.now(t).Add(time.Hour))
	}
	seen := map[task.ID]bool{}
	require.NoError(t, f.Scan(t.Context(), "foo", func(ids []task.ID) error {
		for _, id := range ids {
			seen[id] = true
		}
		return nil
	}))
	require.Len(t, seen, len(tasks))
	for _, due := range tasks {
		require.True(t, seen[due.ID])
	}
	for _, stray := range strays {
		require.ErrorIs(t, f.redis.ZScore(t.Context(), dueKey, stray).Err(), redis.Nil)
	}
	err := f.Scan(t.Context(), "foo", func([]task.ID) error { return assert.AnError })
	require.Equal(t, assert.AnError, err)
}
