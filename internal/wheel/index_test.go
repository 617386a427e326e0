package wheel_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

// People look inside by these names, so they are a contract.
func TestKeysAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	id := uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	require.NoError(t, f.Index(t.Context(), []task.Due{{ID: id, At: time.UnixMicro(1_700_000_000_123_457)}}))
	granted, _, err := f.Lead(t.Context(), uuid.New(), time.Minute, time.Hour, time.Time{})
	require.NoError(t, err)
	require.True(t, granted)

	keys, err := f.redis.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"timewheel:{0}:due", "timewheel:epoch"}, keys)
	all, err := f.redis.ZRangeWithScores(t.Context(), "timewheel:{0}:due", 0, -1).Result()
	require.NoError(t, err)
	require.Equal(t, []redis.Z{{Member: "01890a5d-ac96-774b-bcce-b302099a8057", Score: 1_700_000_000_123_457}}, all)

	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	require.Equal(t, []string{id.String()}, f.members(t, "timewheel:{0}:claimed"))
	require.Empty(t, f.members(t, "timewheel:{0}:due"))
}

func TestTimesAreExactToTheMicrosecond(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	for _, at := range []int64{
		0, 1, 1_700_000_000_000_001, 1_800_000_000_123_456, 1_800_000_000_123_457, 1_800_000_000_123_458,
		time.Date(2255, 6, 5, 23, 47, 34, 740991000, time.UTC).UnixMicro(),
	} {
		for name, index := range map[string]func([]task.Due) error{
			"index":  func(d []task.Due) error { return f.Index(t.Context(), d) },
			"repair": func(d []task.Due) error { _, err := f.Repair(t.Context(), d); return err },
		} {
			id := uuid.New()
			require.NoError(t, index([]task.Due{{ID: id, At: time.UnixMicro(at)}}))
			require.Equal(t, at, f.score(t, dueKey, id.String()), name)
		}
	}
	before1970 := task.Due{ID: uuid.New(), At: task.MinTime}
	require.NoError(t, f.Index(t.Context(), []task.Due{before1970}))
	require.Zero(t, f.score(t, dueKey, before1970.ID.String()))
}

func TestIndexSetsTheTimeWhateverItWas(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	id := f.index(t, 1, f.now(t).Add(-time.Minute))[0]
	require.Equal(t, []task.ID{id}, f.claim(t, 1, never))
	for _, at := range []int64{5, 7, 6} {
		require.NoError(t, f.Index(t.Context(), []task.Due{{ID: id, At: time.UnixMicro(at)}}))
		require.Equal(t, at, f.score(t, dueKey, id.String()))
	}
	require.NoError(t, f.Index(t.Context(), nil))
}

// A repair runs beside claims. If it touched what is claimed, a task would be
// handed out twice; if it touched what is there, a put-back would be undone.
func TestRepairAddsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	past := f.now(t).Add(-time.Minute)
	claimed := f.index(t, 2, past)
	require.Equal(t, claimed, f.claim(t, 2, never))
	lapses := f.score(t, claimedKey, claimed[0].String())
	present := f.index(t, 2, past.Add(time.Hour))
	missing := dueFrom(3, past)

	asked := missing
	for _, id := range append(claimed, present...) {
		asked = append(asked, task.Due{ID: id, At: past.Add(-time.Hour)})
	}
	added, err := f.Repair(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, 3, added)
	require.Equal(t, append(texts(idsOf(missing)), texts(present)...), f.members(t, dueKey))
	require.Equal(t, past.Add(time.Hour).UnixMicro(), f.score(t, dueKey, present[0].String()))
	require.Equal(t, lapses, f.score(t, claimedKey, claimed[0].String()))

	added, err = f.Repair(t.Context(), asked)
	require.NoError(t, err)
	require.Zero(t, added)
}

func TestIndexInCountsFromRedisClock(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	waits := map[time.Duration]time.Duration{-time.Hour: 0, 0: 0, 90 * time.Minute: 90 * time.Minute, time.Microsecond: time.Microsecond}
	for in, want := range waits {
		id := uuid.New()
		before := f.now(t)
		require.NoError(t, f.IndexIn(t.Context(), []task.DueIn{{ID: id, Delay: in}}))
		at := time.UnixMicro(f.score(t, dueKey, id.String()))
		require.False(t, at.Before(before.Add(want)), "%s early", before.Add(want).Sub(at))
		require.False(t, at.After(f.now(t).Add(want)))
	}
}

// More than one script may take, over several shards, in one call.
func TestManyTasksSpreadOverTheShards(t *testing.T) {
	t.Parallel()
	f := open(t, 3)
	tasks := dueFrom(4*wheel.Page+7, f.now(t).Add(-time.Hour))
	added, err := f.Repair(t.Context(), tasks)
	require.NoError(t, err)
	require.Equal(t, len(tasks), added)
	size, err := f.Size(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, len(tasks), size)

	want := make([][]string, 3)
	for _, due := range tasks {
		shard := wheel.ShardOf(due.ID, 3)
		want[shard] = append(want[shard], due.ID.String())
	}
	for shard, ids := range want {
		require.Greater(t, len(ids), wheel.Page, "shard %d is nearly idle", shard)
		require.Equal(t, ids, f.members(t, "timewheel:{"+strconv.Itoa(shard)+"}:due"))
	}
	require.NoError(t, f.Remove(t.Context(), idsOf(tasks)))
	size, err = f.Size(t.Context())
	require.NoError(t, err)
	require.Zero(t, size)
	require.NoError(t, f.Remove(t.Context(), nil))
}

func TestScanSeesEverythingAndDropsStrays(t *testing.T) {
	t.Parallel()
	f := open(t, 2)
	tasks := dueFrom(2*wheel.Page+1, f.now(t).Add(time.Hour))
	require.NoError(t, f.Index(t.Context(), tasks))
	strays := []string{"hello", "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
	for _, stray := range strays {
		f.put(t, dueKey, stray, f.now(t).Add(time.Hour))
	}
	seen := map[task.ID]bool{}
	require.NoError(t, f.Scan(t.Context(), func(ids []task.ID) error {
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
	err := f.Scan(t.Context(), func([]task.ID) error { return assert.AnError })
	require.Equal(t, assert.AnError, err)
}

// A worker sleeps until the head that it knows. It must hear of an earlier one,
// and of nothing else.
func TestOnlyANewHeadWakes(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL(), 1) // channels reach across databases
	sub := f.redis.Subscribe(t.Context(), wakeKey)
	defer func() { require.NoError(t, sub.Close()) }()
	_, err := sub.Receive(t.Context())
	require.NoError(t, err)
	messages := sub.Channel()
	// woken counts the messages so far, by one of the test's own that comes last.
	woken := func() (n int) {
		require.NoError(t, f.redis.Publish(t.Context(), wakeKey, "end").Err())
		for m := range messages {
			if m.Payload == "end" {
				return n
			}
			n++
		}
		return n
	}
	at := f.now(t).Add(time.Hour)
	id, early := uuid.New(), uuid.New()
	index := func(id task.ID, at time.Time) { require.NoError(t, f.Index(t.Context(), []task.Due{{ID: id, At: at}})) }
	repair := func(id task.ID, at time.Time) {
		_, err := f.Repair(t.Context(), []task.Due{{ID: id, At: at}})
		require.NoError(t, err)
	}

	index(id, at)
	require.Equal(t, 1, woken(), "the first task is a head")
	index(uuid.New(), at.Add(time.Microsecond))
	index(uuid.New(), at)
	index(id, at)
	repair(uuid.New(), at.Add(time.Hour))
	require.Zero(t, woken(), "nothing is earlier than the head")
	index(early, at.Add(-time.Microsecond))
	require.Equal(t, 1, woken())
	repair(id, at.Add(-time.Minute))
	require.Zero(t, woken(), "a task that is there keeps its time, so the head is the same")
	repair(uuid.New(), at.Add(-time.Minute))
	require.Equal(t, 1, woken())
	require.NoError(t, f.IndexIn(t.Context(), []task.DueIn{{ID: uuid.New()}}))
	require.Equal(t, 1, woken())
}
