package wheel_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/wheel"
)

var (
	alice = uuid.MustParse("aaaaaaaa-0000-4000-8000-000000000000")
	bob   = uuid.MustParse("bbbbbbbb-0000-4000-8000-000000000000")
)

// frontier is how far a node of these tests turned the wheel.
var frontier = time.UnixMicro(1_800_000_000_123_457).UTC()

// ask asks for the right, and reports up if it is not zero.
func (f *fixture) ask(t *testing.T, turner uuid.UUID, up time.Time) (granted bool, built time.Time) {
	t.Helper()
	return f.askFor(t, f.Wheel, turner, up)
}

func (f *fixture) askFor(t *testing.T, w *wheel.Wheel, turner uuid.UUID, up time.Time) (granted bool, built time.Time) {
	t.Helper()
	granted, built, err := w.Lead(t.Context(), turner, never, time.Minute, up)
	require.NoError(t, err)
	return granted, built
}

// endTerm lets the holder's term have passed.
func (f *fixture) endTerm(t *testing.T) {
	t.Helper()
	past := f.now(t).Add(-time.Microsecond).UnixMicro()
	require.NoError(t, f.redis.HSet(t.Context(), epochKey, "turner_until", past).Err())
}

func TestOneNodeAtATimeTurnsTheWheel(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	before := f.now(t)
	granted, built := f.ask(t, alice, time.Time{})
	require.True(t, granted)
	require.Zero(t, built, "nobody has built it yet")
	granted, built = f.ask(t, alice, frontier)
	require.True(t, granted)
	require.Equal(t, frontier, built)

	granted, built = f.ask(t, bob, time.Time{})
	require.False(t, granted)
	require.Zero(t, built)
	granted, _ = f.ask(t, bob, frontier.Add(time.Hour))
	require.False(t, granted, "a report is no way in")
	granted, built = f.ask(t, alice, time.Time{})
	require.True(t, granted)
	require.Equal(t, frontier, built)

	epoch, err := f.redis.HGetAll(t.Context(), epochKey).Result()
	require.NoError(t, err)
	require.WithinRange(t, fieldTime(t, epoch["turner_until"]), before.Add(never), f.now(t).Add(never))
	require.WithinRange(t, fieldTime(t, epoch["built_at"]), before, f.now(t))
	delete(epoch, "turner_until")
	delete(epoch, "built_at")
	require.Equal(t, map[string]string{
		"turner": alice.String(), "frontier": "1800000000123457", "horizon": "60000000", "shards": "1",
	}, epoch)
}

func fieldTime(t *testing.T, text string) time.Time {
	t.Helper()
	us, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return time.UnixMicro(us)
}

func TestTheHolderRenewsItsTerm(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	f.ask(t, alice, frontier)
	f.endTerm(t)
	granted, _ := f.ask(t, alice, time.Time{})
	require.True(t, granted)
	granted, _ = f.ask(t, bob, time.Time{})
	require.False(t, granted)
}

func TestTheTermEndsByItself(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	const term = 30 * time.Millisecond
	_, _, err := f.Lead(t.Context(), alice, term, time.Minute, time.Time{})
	require.NoError(t, err)
	until, err := f.redis.HGet(t.Context(), epochKey, "turner_until").Result()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		granted, _ := f.ask(t, bob, time.Time{})
		return granted
	}, patience, glance)
	require.False(t, f.now(t).Before(fieldTime(t, until)))
}

// Whoever lost the right learns how far the other came, and its own report is
// void: it may be about a wheel that is no more.
func TestAReportAfterATakeoverIsVoid(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	f.ask(t, alice, time.Time{})
	f.ask(t, alice, frontier)
	f.endTerm(t)
	granted, built := f.ask(t, bob, time.Time{})
	require.True(t, granted)
	require.Equal(t, frontier, built)
	granted, built = f.ask(t, bob, frontier.Add(time.Minute))
	require.True(t, granted)
	require.Equal(t, frontier.Add(time.Minute), built)

	granted, built = f.ask(t, alice, frontier.Add(time.Hour))
	require.False(t, granted)
	require.Zero(t, built)
	f.endTerm(t)
	granted, built = f.ask(t, alice, frontier.Add(time.Hour))
	require.True(t, granted)
	require.Equal(t, frontier.Add(time.Minute), built)
}

func TestAReportOnALostWheelIsVoid(t *testing.T) {
	t.Parallel()
	f := open(t, 1)
	f.ask(t, alice, time.Time{})
	f.ask(t, alice, frontier)
	require.NoError(t, f.redis.FlushDB(t.Context()).Err())
	granted, built := f.ask(t, alice, frontier.Add(time.Second))
	require.True(t, granted)
	require.Zero(t, built, "the wheel must be built from the beginning")
	_, built = f.ask(t, alice, time.Time{})
	require.Zero(t, built)
}

func TestAnotherSplitIsBuiltAnew(t *testing.T) {
	t.Parallel()
	f := open(t, 4)
	f.ask(t, alice, time.Time{})
	f.ask(t, alice, frontier)
	tasks := dueFrom(200, f.now(t).Add(-time.Hour))
	require.NoError(t, f.Index(t.Context(), tasks))
	for shard := range 4 {
		_, _, err := f.Claim(t.Context(), shard, 5, never)
		require.NoError(t, err)
	}

	fewer := openWheel(t, f.url, 2)
	granted, _ := f.askFor(t, fewer, bob, time.Time{})
	require.False(t, granted)
	require.Len(t, f.keys(t, "timewheel:{*"), 8, "who has no right drops nothing")
	f.endTerm(t)
	granted, built := f.askFor(t, fewer, bob, time.Time{})
	require.True(t, granted)
	require.Zero(t, built)
	require.ElementsMatch(t, []string{
		"timewheel:{0}:due", "timewheel:{0}:claimed", "timewheel:{1}:due", "timewheel:{1}:claimed",
	}, f.keys(t, "timewheel:{*"))
	_, built = f.askFor(t, fewer, bob, frontier)
	require.Equal(t, frontier, built)

	f.endTerm(t)
	_, built = f.ask(t, alice, time.Time{})
	require.Zero(t, built, "a wider split is another wheel too")
}

func (f *fixture) keys(t *testing.T, pattern string) []string {
	t.Helper()
	keys, err := f.redis.Keys(t.Context(), pattern).Result()
	require.NoError(t, err)
	return keys
}

// The hash is open to everybody's hands. Whatever it holds, the wheel turns.
func TestAHandEditedEpochDoesNotStopTheWheel(t *testing.T) {
	t.Parallel()
	for field, values := range map[string][]string{
		"turner_until": {"", "soon", "nan", "-1", "9007199254740992", "inf"},
		"frontier":     {"", "here", "1e400", "99999999999999999999"},
		"shards":       {"", "many", "-3", "0", "1000000000"},
		"horizon":      {""},
		"turner":       {""},
	} {
		for _, value := range append(values, "(none)") {
			f := open(t, 1)
			f.ask(t, alice, time.Time{})
			f.ask(t, alice, frontier)
			f.endTerm(t)
			id := f.index(t, 1, f.now(t).Add(time.Hour))[0]
			if value == "(none)" {
				require.NoError(t, f.redis.HDel(t.Context(), epochKey, field).Err())
			} else {
				require.NoError(t, f.redis.HSet(t.Context(), epochKey, field, value).Err())
			}
			granted, _ := f.ask(t, bob, time.Time{})
			require.True(t, granted, "%s = %q", field, value)
			_, built := f.ask(t, bob, frontier)
			require.Equal(t, frontier, built)
			require.Equal(t, []string{id.String()}, f.members(t, dueKey))
		}
	}
}

func TestShardsAreEven(t *testing.T) {
	t.Parallel()
	const ids = 6000
	for _, shards := range []int{1, 2, 3, 16} {
		var counts [16]int
		for range ids {
			id := uuid.Must(uuid.NewV7())
			shard := wheel.ShardOf(id, shards)
			require.Equal(t, shard, wheel.ShardOf(id, shards))
			counts[shard]++
		}
		for _, n := range counts[:shards] {
			require.InDelta(t, ids/shards, n, ids/float64(shards)/2)
		}
	}
}
