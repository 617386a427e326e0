package wheel_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// requireNotWaited wants an error that was said, and not one of waiting in vain for it.
func requireNotWaited(t *testing.T, err error, name string) {
	t.Helper()
	require.Error(t, err, name)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, name)
	require.NotErrorIs(t, err, context.DeadlineExceeded, name)
}

// A client that repeated the claim by itself would take a second batch, and
// strand the first until it lapses.
func TestAClaimWhoseReplyIsLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]doom{"cut": cut, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := open(t)
			p, url := newProxy(t, direct.url)
			f := &fixture{openWheel(t, url), direct.redis, url}
			require.Empty(t, f.claim(t, 10, never)) // the script is loaded, and a connection is open
			ids := direct.index(t, 30, f.now(t).Add(-time.Hour))

			p.lose(fate)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, _, err := f.Claim(ctx, 10, 0)
			require.Error(t, err)
			<-p.lost
			require.Equal(t, texts(ids[10:]), f.members(t, dueKey))
			require.ElementsMatch(t, texts(ids[:10]), f.members(t, claimedKey))

			require.Equal(t, ids[10:20], f.claim(t, 10, never), "the next claim has the next tasks")
			require.Equal(t, 10, f.Revived())
			require.Equal(t, append(ids[20:], ids[:10]...), sameOrder(ids, f.claim(t, 20, never), 10))
		})
	}
}

// sameOrder sorts the tail of got that was revived at one instant, and so has
// no order of its own, as all has it.
func sameOrder(all, got []task.ID, tail int) []task.ID {
	place := map[task.ID]bool{}
	for _, id := range got[len(got)-tail:] {
		place[id] = true
	}
	out := append([]task.ID{}, got[:len(got)-tail]...)
	for _, id := range all {
		if place[id] {
			out = append(out, id)
		}
	}
	return out
}

// A restart and a failover forget the scripts. Each call brings its own along.
func TestScriptsThatRedisForgotAreSentAgain(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL()) // the cache belongs to the whole server
	ids := dueFrom(2, f.now(t).Add(-time.Hour))
	forget := func() { require.NoError(t, f.redis.ScriptFlush(t.Context()).Err()) }
	for range 2 {
		forget()
		require.NoError(t, f.Index(t.Context(), ids))
		forget()
		require.Equal(t, idsOf(ids), f.claim(t, 2, 0))
		forget()
		n := f.revive(t)
		require.Equal(t, 2, n)
		forget()
		require.NoError(t, f.Release(t.Context(), idsOf(ids), []task.DueIn{{Type: "foo", ID: ids[0].ID, Delay: time.Hour}}))
		forget()
		granted, _ := f.ask(t, alice, frontier)
		require.True(t, granted)
	}
}

// writes are all that the wheel does to Redis while a task is due.
func (f *fixture) writes(id task.ID) map[string]func(context.Context) error {
	due := []task.Due{{Type: "foo", ID: id, At: time.UnixMicro(1)}}
	return map[string]func(context.Context) error{
		"claim": func(ctx context.Context) error {
			_, _, err := f.Claim(ctx, 1, 0)
			return err
		},
		"index":    func(ctx context.Context) error { return f.Index(ctx, due) },
		"index in": func(ctx context.Context) error { return f.IndexIn(ctx, []task.DueIn{{Type: "foo", ID: id}}) },
		"repair": func(ctx context.Context) error {
			_, err := f.Repair(ctx, []task.Due{{Type: "foo", ID: uuid.New(), At: time.UnixMicro(1)}})
			return err
		},
		"remove":  func(ctx context.Context) error { return f.Remove(ctx, []task.ID{id}) },
		"release": func(ctx context.Context) error { return f.Release(ctx, []task.ID{id}, nil) },
		"turn": func(ctx context.Context) error {
			_, _, err := f.Lead(ctx, alice, never, never, frontier)
			return err
		},
	}
}

// requireRefusal wants every write refused at once, and in Redis' own words.
func (f *fixture) requireRefusal(t *testing.T, id task.ID, word string, names ...string) {
	t.Helper()
	writes := f.writes(id)
	for _, name := range names {
		err := writes[name](t.Context())
		require.ErrorContains(t, err, word, name)
		requireNotWaited(t, err, name)
	}
}

// requireRecovery wants the task that was due all along, without a new client.
func (f *fixture) requireRecovery(t *testing.T, id task.ID) {
	t.Helper()
	require.Eventually(t, func() bool {
		ids, _, err := f.Claim(t.Context(), 1, never)
		return err == nil && len(ids) == 1 && ids[0] == id
	}, patience, glance)
	for name, write := range f.writes(id) {
		require.NoError(t, write(t.Context()), name)
	}
}

func TestAReadOnlyRedisIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL())
	id := f.index(t, 1, f.now(t).Add(-time.Hour))[0]
	require.NoError(t, f.redis.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	f.requireRefusal(t, id, "READONLY", "claim", "index", "index in", "repair", "remove", "release", "turn")
	require.NoError(t, f.redis.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	f.requireRecovery(t, id)
}

// A full Redis takes no new task. What it has is still handed out: a claim must
// not have popped its tasks when it learns that it cannot move them.
func TestAFullRedisStillHandsOut(t *testing.T) {
	t.Parallel()
	f := openAt(t, testkit.OwnRedis(t).URL())
	ids := f.index(t, 3, f.now(t).Add(-time.Hour))
	require.NoError(t, f.redis.ConfigSet(t.Context(), "maxmemory", "1").Err())
	f.requireRefusal(t, ids[0], "OOM", "index", "index in", "repair", "turn")

	require.Equal(t, ids, f.claim(t, 3, 0))
	require.ElementsMatch(t, texts(ids), f.members(t, claimedKey))
	n := f.revive(t)
	require.Equal(t, 3, n)
	require.Len(t, f.claim(t, 3, never), 3)
	require.NoError(t, f.Release(t.Context(), ids[1:], []task.DueIn{{Type: "foo", ID: ids[0]}}))
	require.Equal(t, texts(ids[:1]), f.members(t, dueKey))
	require.Empty(t, f.members(t, claimedKey))

	require.NoError(t, f.redis.ConfigSet(t.Context(), "maxmemory", "0").Err())
	f.requireRecovery(t, ids[0])
}

func TestALoadingRedisIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	server, err := stores.StartRedis(t.Context(), stores.Options{Settings: map[string]string{
		// In µs. It makes time to look; while loading, Redis answers every
		// 1024 commands only.
		"key-load-delay": "100",
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	f := openAt(t, server.URL())
	id := f.index(t, 1, f.now(t).Add(-time.Hour))[0]
	pipe := f.redis.Pipeline()
	for i := range 15_000 {
		pipe.Set(t.Context(), "ballast:"+strconv.Itoa(i), i, 0)
	}
	_, err = pipe.Exec(t.Context())
	require.NoError(t, err)
	require.NoError(t, server.Stop())

	started := make(chan error, 1)
	go func() { started <- server.Start(t.Context()) }()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.ErrorContains(c, f.Ping(t.Context()), "LOADING")
	}, patience, glance)
	f.requireRefusal(t, id, "LOADING", "claim", "index")
	require.NoError(t, <-started)
	f.requireRecovery(t, id)
}

func TestARedisThatIsDownIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	id := f.index(t, 1, f.now(t).Add(-time.Hour))[0]
	before, err := f.RunID(t.Context())
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	for name, write := range f.writes(id) {
		requireNotWaited(t, write(t.Context()), name)
	}
	require.Error(t, f.Ping(t.Context()))
	require.NoError(t, server.Start(t.Context()))
	f.requireRecovery(t, id)
	after, err := f.RunID(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before, after)
}
