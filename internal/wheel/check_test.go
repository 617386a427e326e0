package wheel_test

import (
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

func openAs(t *testing.T, o wheel.Options) *wheel.Wheel {
	t.Helper()
	w, err := wheel.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// Two installations under one prefix: the second is told so, and touches nothing.
// Once the first has been silent for long, its names are taken over and its tasks
// dropped. Under prefixes of their own they share a database without harm.
func TestInstallationsNoticeEachOther(t *testing.T) {
	t.Parallel()
	f := open(t)
	first := openAs(t, wheel.Options{URL: f.url, Installation: "first"})
	second := openAs(t, wheel.Options{URL: f.url, Installation: "second"})
	apart := openAs(t, wheel.Options{URL: f.url, Installation: "third", Prefix: "apart"})
	turn := func(w *wheel.Wheel, frontier time.Time) (bool, time.Time, error) {
		return w.Lead(t.Context(), uuid.New(), 5*time.Second, time.Hour, frontier)
	}
	require.NoError(t, second.Check(t.Context()))
	granted, built, err := turn(first, time.Time{})
	require.NoError(t, err)
	require.True(t, granted)
	require.Zero(t, built)
	f.index(t, 3, f.now(t).Add(time.Hour))

	require.NoError(t, first.Check(t.Context()))
	require.ErrorIs(t, second.Check(t.Context()), wheel.ErrForeign)
	granted, _, err = turn(second, time.Time{})
	require.ErrorIs(t, err, wheel.ErrForeign)
	require.False(t, granted)
	require.Len(t, f.members(t, dueKey), 3)

	require.NoError(t, apart.Check(t.Context()))
	granted, _, err = turn(apart, time.Time{})
	require.NoError(t, err)
	require.True(t, granted)
	require.NoError(t, apart.Index(t.Context(), []task.Due{{Type: "foo", ID: uuid.New(), At: f.now(t)}}))
	require.Len(t, f.members(t, dueKey), 3)
	require.Len(t, f.members(t, "apart:{foo}:due"), 1)

	long := f.now(t).Add(-2 * time.Minute).UnixMicro()
	require.NoError(t, f.redis.HSet(t.Context(), epochKey, "leader_until", long, "indexed_until", long).Err())
	require.NoError(t, second.Check(t.Context()))
	granted, built, err = turn(second, time.Time{})
	require.NoError(t, err)
	require.True(t, granted)
	require.Zero(t, built, "it is built from the beginning")
	require.Empty(t, f.members(t, dueKey))
	require.ErrorIs(t, first.Check(t.Context()), wheel.ErrForeign)
}

// A Redis that answers and cannot be used is told from one that is away.
func TestCheckTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	server, replica := testkit.OwnRedis(t), testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	for _, user := range [][]any{
		{"ACL", "SETUSER", "nothing", "on", ">p", "~other:*", "+@all"},
		{"ACL", "SETUSER", "silent", "on", ">p", "~timewheel:*", "resetchannels", "+@all"},
		{"ACL", "SETUSER", "least", "on", ">p", "~timewheel:*", "&timewheel:*", "+@all", "-@dangerous", "-@admin", "+info"},
		{"ACL", "SETUSER", "blind", "on", ">p", "~timewheel:*", "&timewheel:*", "+@all", "-@dangerous"},
	} {
		require.NoError(t, f.redis.Do(t.Context(), user...).Err())
	}
	as := func(user, password string) *wheel.Wheel {
		options, err := redis.ParseURL(server.URL())
		require.NoError(t, err)
		return openAs(t, wheel.Options{URL: "redis://" + user + ":" + password + "@" + options.Addr + "/0"})
	}
	unusable := func(w *wheel.Wheel, says string) {
		t.Helper()
		err := w.Check(t.Context())
		require.ErrorAs(t, err, new(*wheel.UnusableError))
		require.ErrorContains(t, err, says)
	}
	unusable(as("nothing", "p"), "does not permit")
	unusable(as("least", "wrong"), "does not know this user")
	least := as("least", "p")
	require.NoError(t, least.Check(t.Context()))
	require.Empty(t, least.Missing(t.Context()))
	silent := as("silent", "p")
	require.NoError(t, silent.Check(t.Context()))
	require.Len(t, silent.Missing(t.Context()), 1)
	require.Contains(t, silent.Missing(t.Context())[0], "channels")
	require.NoError(t, silent.Index(t.Context(), []task.Due{{Type: "foo", ID: uuid.New(), At: f.now(t)}}), "a wake is a hint")
	blind := as("blind", "p")
	require.Len(t, blind.Missing(t.Context()), 1)
	require.Contains(t, blind.Missing(t.Context())[0], "INFO")
	run, err := blind.RunID(t.Context())
	require.NoError(t, err)
	require.Equal(t, "unknown", run)

	second := openAt(t, replica.URL())
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(options.Addr)
	require.NoError(t, err)
	require.NoError(t, second.redis.Do(t.Context(), "REPLICAOF", host, port).Err())
	require.Eventually(t, func() bool { return second.Check(t.Context()) != nil }, patience, glance)
	unusable(second.Wheel, "is a replica")
	require.NoError(t, server.Stop())
	err = f.Check(t.Context())
	require.ErrorContains(t, err, "does not answer")
	require.NotErrorAs(t, err, new(*wheel.UnusableError))
}
