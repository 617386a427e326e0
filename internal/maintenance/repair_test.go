package maintenance_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// A key that is deleted by hand leaves the epoch, which says that all is built.
func TestDeletedKeyIsRepaired(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(nil)
	ids := f.insert(t, 1500, soon, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, f.redis.Del(t.Context(), dueKey).Err())
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids)
}

func TestDeletedIDIsRepairedOnceItIsOverdue(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(nil)
	ids := f.insert(t, 3, -500*time.Millisecond, 0)
	ids = append(ids, f.insert(t, 1, soon, 0)...)
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids)
	require.NoError(t, f.redis.ZRem(t.Context(), dueKey, ids[0]).Err())
	require.Eventually(t, func() bool {
		require.NoError(t, k.Lead(t.Context()))
		return f.redis.ZScore(t.Context(), dueKey, ids[0]).Err() == nil
	}, patience, glance)
	f.requireIndexed(t, ids)
	require.Positive(t, f.count(t, "id = '"+ids[0]+"' AND due_at <= clock_timestamp() - interval '1 second'"),
		"until then it is most likely being claimed")
}

// What a worker has claimed is not missing.
func TestRepairLeavesClaimsAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(func(c *maintenance.Config) { c.Audit = time.Nanosecond })
	f.insert(t, 20, -time.Hour, time.Second)
	require.NoError(t, k.Lead(t.Context()))
	claimed := f.claim(t, 20)
	require.Len(t, claimed, 20)
	require.NoError(t, k.Lead(t.Context()))
	require.Empty(t, f.indexed(t))

	require.NoError(t, f.ring.Release(t.Context(), claimed, nil))
	require.NoError(t, k.Lead(t.Context()))
	require.Len(t, f.indexed(t), 20, "released and not started: it is missing")
}

// A backlog that is longer than one look takes: every part gets its turn.
func TestLongBacklogIsLookedAtInTurns(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(nil)
	const backlog = (maintenance.OverduePages + 1) * maintenance.PageSize
	ids := f.insert(t, backlog+5, -time.Hour, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, f.redis.ZRemRangeByRank(t.Context(), dueKey, backlog, -1).Err())
	require.Eventually(t, func() bool {
		require.NoError(t, k.Lead(t.Context()))
		return len(f.indexed(t)) == len(ids)
	}, patience, glance)
	f.requireIndexed(t, ids)
}

// Three nodes and an audit that takes longer than the right to turn lasts: it is
// one audit all the same, nobody begins another one within its period, and the
// ticks go on beside it.
func TestOneAuditAtATime(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.insert(t, 10, soon, time.Millisecond)
	var audits atomic.Int64
	gate := make(chan struct{})
	ring := &hooked{Wheel: f.ring}
	ring.scan = func() error {
		audits.Add(1)
		<-gate
		return nil
	}
	require.NoError(t, f.ring.Index(t.Context(), []task.Due{{ID: uuid.New(), Type: "foo", At: time.UnixMicro(1e15)}}))
	ctx, cancel := context.WithCancel(t.Context())
	var nodes errgroup.Group
	for range 3 {
		nodes.Go(func() error {
			return f.maintainerOf(f.db, ring, func(c *maintenance.Config) { c.Tick = 5 * time.Millisecond }).Run(ctx)
		})
	}
	require.Eventually(t, func() bool { return audits.Load() == 1 }, patience, glance)
	// The ticks go on: what comes within the horizon meanwhile is indexed.
	late := f.insert(t, 1, beyond, 0)[0]
	require.Eventually(t, func() bool { return slices.Contains(f.indexed(t), late) }, patience, glance)
	close(gate)
	want := slices.Concat(ids, []string{late})
	require.Eventually(t, func() bool { return len(f.indexed(t)) == len(want) }, patience, glance, "the stray is dropped")
	require.Eventually(t, func() bool { return f.redis.HExists(t.Context(), epochKey, "audited_at").Val() }, patience, glance)
	// The one who turned the wheel is gone: its heir does not begin again.
	require.NoError(t, f.redis.HDel(t.Context(), epochKey, "leader").Err())
	another := f.insert(t, 1, beyond, 0)[0]
	require.Eventually(t, func() bool { return slices.Contains(f.indexed(t), another) }, patience, glance)
	cancel()
	require.NoError(t, nodes.Wait())
	require.EqualValues(t, 1, audits.Load())
}

func TestAuditDropsWhatIsStale(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(func(c *maintenance.Config) { c.Audit = time.Nanosecond })
	ids := f.insert(t, 1000, soon, time.Millisecond)
	started := f.insert(t, 10, -time.Hour, time.Second)
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, append(started, ids...))

	f.session(t, parse(t, started)...)
	f.exec(t, `UPDATE tasks SET status = 'deleted' WHERE id = ANY($1::uuid[])`, ids[:300])
	f.exec(t, `DELETE FROM tasks WHERE id = ANY($1::uuid[])`, ids[300:400])
	for _, stray := range []string{uuid.NewString(), "hello"} {
		z := redis.Z{Score: float64(time.Now().Add(soon).UnixMicro()), Member: stray}
		require.NoError(t, f.redis.ZAdd(t.Context(), dueKey, z).Err())
	}
	require.NoError(t, k.Lead(t.Context()))
	f.requireIndexed(t, ids[400:])
}

// oldState is a Redis whose last dump is older than Postgres: it names tasks
// that are deleted now and lacks newer ones, and its epoch says that all is
// built.
func oldState(t *testing.T) (f *fixture, k *maintenance.Maintainer, ring *hooked, restore func(), want []string) {
	t.Helper()
	server, err := stores.StartRedis(t.Context(), stores.Options{Settings: map[string]string{"appendonly": "no"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	f = openAt(t, server.URL())
	ring = &hooked{Wheel: f.ring}
	k = f.maintainerOf(f.db, ring, nil)
	old := f.insert(t, 100, soon, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, f.redis.Save(t.Context()).Err())
	newer := f.insert(t, 100, soon/2, time.Millisecond)
	require.NoError(t, f.redis.HDel(t.Context(), epochKey, "indexed_until").Err())
	require.NoError(t, k.Lead(t.Context()))
	f.exec(t, `UPDATE tasks SET status = 'deleted' WHERE id = ANY($1::uuid[])`, old[:50])
	require.NoError(t, f.ring.Remove(t.Context(), refs(parse(t, old[:50]))))
	want = slices.Concat(newer, old[50:])
	f.requireIndexed(t, want)
	restore = func() {
		t.Helper()
		require.NoError(t, server.Kill())
		require.NoError(t, server.Start(t.Context()))
		require.ElementsMatch(t, old, f.indexed(t))
	}
	return f, k, ring, restore, want
}

func TestOldDumpIsAudited(t *testing.T) {
	t.Parallel()
	f, k, _, restore, want := oldState(t)
	restore()
	require.Eventually(t, func() bool { return k.Lead(t.Context()) == nil }, patience, glance)
	f.requireIndexed(t, want)
}

// The audit that a restart calls for fails half-way. It is still called for.
func TestAuditThatFailsIsRepeated(t *testing.T) {
	t.Parallel()
	f, k, ring, restore, want := oldState(t)
	restore()
	failed := false
	ring.scan = func() error {
		if !failed {
			failed = true
			return assert.AnError
		}
		return nil
	}
	require.Eventually(t, func() bool {
		_ = k.Lead(t.Context()) // Redis may still be starting
		return failed && len(f.indexed(t)) == len(want)
	}, patience, glance)
	f.requireIndexed(t, want)
}

// A Redis that restarts with all its data costs an audit and nothing else.
func TestRestartedRedisKeepsItsRing(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	k := f.maintainer(nil)
	ids := f.insert(t, 100, soon, time.Millisecond)
	require.NoError(t, k.Lead(t.Context()))
	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool { return k.Lead(t.Context()) == nil }, patience, glance)
	f.requireIndexed(t, ids)
}

// A task was moved to an earlier time, and Redis was not told: it stands there at the old one.
func TestATaskThatWaitsForItsOldTimeIsBroughtForward(t *testing.T) {
	t.Parallel()
	f := open(t)
	k := f.maintainer(nil)
	ids := f.insert(t, 2, soon, 0)
	require.NoError(t, k.Lead(t.Context()))
	f.exec(t, `UPDATE tasks SET due_at = clock_timestamp() - interval '500 ms', changes = 1 WHERE id = $1`, ids[0])
	require.Eventually(t, func() bool {
		require.NoError(t, k.Lead(t.Context()))
		return f.redis.ZScore(t.Context(), dueKey, ids[0]).Val() < float64(time.Now().UnixMicro())
	}, patience, glance)
	f.requireIndexed(t, ids)
	require.Positive(t, f.count(t, "id = '"+ids[0]+"' AND due_at > clock_timestamp() - interval '2 seconds'"))
}

// A repair that has read a task before it is moved to a later time costs a claim that is refused.
func TestARepairThatReadATaskBeforeItsMove(t *testing.T) {
	t.Parallel()
	f := open(t)
	ring := &hooked{Wheel: f.ring}
	k := f.maintainerOf(f.db, ring, nil)
	id := parse(t, f.insert(t, 1, -time.Minute, 0))[0]
	ring.repair = func([]task.Due) error {
		ring.repair = nil
		read, err := f.db.Get(t.Context(), id)
		require.NoError(t, err)
		at := time.Now().Add(soon).Truncate(time.Microsecond)
		_, _, err = f.db.Change(t.Context(), read, task.Change{ExecutionTime: &at})
		require.NoError(t, err)
		return f.ring.Index(t.Context(), []task.Due{{ID: id, Type: "foo", At: at}})
	}
	require.NoError(t, k.Lead(t.Context()))
	require.Len(t, f.claim(t, 1), 1, "the repair has put it where it was")
	session := uuid.New()
	require.NoError(t, f.db.Register(t.Context(), session, "host", never))
	started, _, err := f.db.Start(t.Context(), session, 1, []string{"foo"}, []task.ID{id})
	require.NoError(t, err)
	require.Empty(t, started)
	waits, err := f.db.Submitted(t.Context(), []task.ID{id})
	require.NoError(t, err)
	require.NoError(t, f.ring.Release(t.Context(), nil, waits))
	require.Greater(t, f.redis.ZScore(t.Context(), dueKey, id.String()).Val(), float64(time.Now().Add(soon/2).UnixMicro()))
}
