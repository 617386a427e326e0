package wheel_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var (
	alice = uuid.MustParse("aaaaaaaa-0000-4000-8000-000000000000")
	bob   = uuid.MustParse("bbbbbbbb-0000-4000-8000-000000000000")
)

// frontier is how far a node of these tests turned the wheel.
var frontier = time.UnixMicro(1_800_000_000_123_457).UTC()

// ask asks for the right, and reports up if it is not zero.
func (f *fixture) ask(t *testing.T, node uuid.UUID, up time.Time) (granted bool, built time.Time) {
	t.Helper()
	granted, built, err := f.Lead(t.Context(), node, never, time.Minute, up)
	require.NoError(t, err)
	return granted, built
}

// endTerm lets the holder's term have passed.
func (f *fixture) endTerm(t *testing.T) {
	t.Helper()
	past := f.now(t).Add(-time.Microsecond).UnixMicro()
	require.NoError(t, f.redis.HSet(t.Context(), epochKey, "leader_until", past).Err())
}

func TestOneNodeAtATimeTurnsTheWheel(t *testing.T) {
	t.Parallel()
	f := open(t)
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
	require.WithinRange(t, fieldTime(t, epoch["leader_until"]), before.Add(never), f.now(t).Add(never))
	require.WithinRange(t, fieldTime(t, epoch["built_at"]), before, f.now(t))
	delete(epoch, "leader_until")
	delete(epoch, "built_at")
	require.Equal(t, map[string]string{
		"leader": alice.String(), "indexed_until": "1800000000123457", "horizon": "60000000",
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
	f := open(t)
	f.ask(t, alice, frontier)
	f.endTerm(t)
	granted, _ := f.ask(t, alice, time.Time{})
	require.True(t, granted)
	granted, _ = f.ask(t, bob, time.Time{})
	require.False(t, granted)
}

func TestTheTermEndsByItself(t *testing.T) {
	t.Parallel()
	f := open(t)
	const term = 30 * time.Millisecond
	_, _, err := f.Lead(t.Context(), alice, term, time.Minute, time.Time{})
	require.NoError(t, err)
	until, err := f.redis.HGet(t.Context(), epochKey, "leader_until").Result()
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
	f := open(t)
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
	f := open(t)
	f.ask(t, alice, time.Time{})
	f.ask(t, alice, frontier)
	require.NoError(t, f.redis.FlushDB(t.Context()).Err())
	granted, built := f.ask(t, alice, frontier.Add(time.Second))
	require.True(t, granted)
	require.Zero(t, built, "the wheel must be built from the beginning")
	_, built = f.ask(t, alice, time.Time{})
	require.Zero(t, built)
}

// The hash is open to everybody's hands. Whatever it holds, the wheel turns.
func TestAHandEditedEpochDoesNotStopTheWheel(t *testing.T) {
	t.Parallel()
	for field, values := range map[string][]string{
		"leader_until":  {"", "soon", "nan", "-1", "9007199254740992", "inf"},
		"indexed_until": {"", "here", "1e400", "99999999999999999999"},
		"horizon":       {""},
		"leader":        {""},
	} {
		for _, value := range append(values, "(none)") {
			f := open(t)
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
