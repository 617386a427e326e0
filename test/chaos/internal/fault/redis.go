package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// redis carries out one command on each server that has keys of its own.
func redis(command ...any) Step {
	return func(ctx context.Context, t *Target) error { return t.Command(ctx, command...) }
}

func startRedis(ctx context.Context, t *Target) error { return t.Redis.Start(ctx) }
func killRedis(_ context.Context, t *Target) error    { return t.Redis.Kill() }

func redisFaults() []Fault {
	return []Fault{
		{Name: "redis flushall", Do: redis("FLUSHALL")},
		{Name: "redis forgets its scripts", Do: redis("SCRIPT", "FLUSH")},
		{Name: "redis loses a key", Do: func(ctx context.Context, t *Target) error {
			keys, err := t.Keys(ctx, "timewheel:{*")
			if err != nil || len(keys) == 0 {
				return err
			}
			return t.Ring.Del(ctx, keys[t.Chance.IntN(len(keys))]).Err()
		}},
	}
}

func singleRedisFaults() []Fault {
	return []Fault{
		{Name: "redis restarts empty", Do: killRedis, Undo: startRedis, Min: 100 * time.Millisecond, Max: 2 * time.Second},
		// As a replica does that lagged behind and was promoted.
		{Name: "redis comes back with old data", Do: redis("SAVE"), Undo: restoreOld},
		// A replica of nobody refuses writes and serves what it has.
		{Name: "redis is readonly", Do: redis("REPLICAOF", "127.0.0.1", "1"), Undo: redis("REPLICAOF", "NO", "ONE")},
		{Name: "redis is out of memory", Do: redis("CONFIG", "SET", "maxmemory", "1mb"), Undo: redis("CONFIG", "SET", "maxmemory", "0")},
		{
			Name: "replies of claims are lost",
			Do:   set(func(t *Target) { t.RedisProxy.LoseClaims(10) }),
			Undo: set(func(t *Target) { t.RedisProxy.LoseClaims(0) }),
		},
	}
}

// restoreOld kills Redis and starts it on what was saved.
func restoreOld(ctx context.Context, t *Target) error {
	if err := t.Redis.Kill(); err != nil {
		return err
	}
	if err := t.Redis.Start(ctx); err != nil {
		return err
	}
	dir, err := t.Ring.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return fmt.Errorf("find the dump: %w", err)
	}
	return os.Remove(filepath.Join(dir["dir"], "dump.rdb"))
}

// fleetFaults are what befalls Redis where more servers than one make it up. Each ends
// when every master has a replica again that has all of its data.
func fleetFaults(c rig.Config) []Fault {
	all := []Fault{
		{
			Name: "a redis master dies", Min: time.Second, Max: 6 * time.Second,
			Do: withMaster(func(t *Target) error { return t.master.Kill() }),
			Undo: func(ctx context.Context, t *Target) error {
				return errors.Join(t.master.Start(ctx), whole(ctx, t))
			},
		},
		{
			Name: "a redis master stands still", Min: time.Second, Max: 6 * time.Second,
			Do: withMaster(func(t *Target) (err error) {
				t.resume, err = t.master.Pause()
				return err
			}),
			Undo: func(ctx context.Context, t *Target) error { return errors.Join(t.resume(), whole(ctx, t)) },
		},
		{Name: "a redis master is replaced", Do: replace, Undo: whole},
	}
	if c.Redis == rig.Cluster {
		all = append(all, Fault{Name: "a slot moves", Do: moveSlot})
	}
	return all
}

// withMaster does something to a server that has keys of its own, which chance chooses.
func withMaster(do func(t *Target) error) Step {
	return func(ctx context.Context, t *Target) (err error) {
		masters := []*stores.Redis{nil}
		if t.Sentinel != nil {
			masters[0], err = t.Sentinel.Master(ctx)
		} else {
			masters, err = t.Cluster.Masters(ctx)
		}
		if err == nil && len(masters) == 0 {
			err = errors.New("no master is left in the cluster")
		}
		if err != nil {
			return err
		}
		t.master = masters[t.Chance.IntN(len(masters))]
		return do(t)
	}
}

// replace makes a replica the master, as an operator does before he restarts that one. A
// replica that has just come is not fit for it at once.
func replace(ctx context.Context, t *Target) error {
	return withMaster(func(t *Target) error {
		if t.Cluster != nil {
			return rig.Retry(ctx, time.Minute, func() error { return t.Cluster.Failover(ctx, t.master) })
		}
		if err := rig.Retry(ctx, time.Minute, func() error { return t.Sentinel.Failover(ctx) }); err != nil {
			return err
		}
		return rig.Retry(ctx, time.Minute, func() error {
			now, err := t.Sentinel.Master(ctx)
			if err == nil && now == t.master {
				err = errors.New("the sentinels name the old master")
			}
			return err
		})
	})(ctx, t)
}

func whole(ctx context.Context, t *Target) error {
	return rig.Retry(ctx, time.Minute, func() error { return t.Whole(ctx) })
}

// moveSlot moves the ring of a type of the load to another master, and stands still for a
// while when half of it is there.
func moveSlot(ctx context.Context, t *Target) error {
	return t.Cluster.MoveSlot(ctx, "timewheel:{"+t.Type.Name+"}:due", func() { t.pause(ctx, time.Second, 4*time.Second) })
}
