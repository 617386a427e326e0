package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

func redisFaults() []Fault {
	return []Fault{
		{Name: "redis restarts empty", Needs: single, Inject: RestartRedisEmpty},
		{Name: "redis flushall", Inject: FlushAll},
		{Name: "redis loses a key", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			keys, err := r.Keys(ctx, "timewheel:{*")
			if err != nil || len(keys) == 0 {
				return err
			}
			return r.Ring.Del(ctx, keys[rng.IntN(len(keys))]).Err()
		}},
		{Name: "redis comes back with old data", Needs: single, Inject: restoreOld},
		{Name: "redis is readonly", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			// A replica of nobody: it refuses writes and serves what it has.
			return during(ctx, rng, func() error { return r.Ring.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err() },
				func() error { return r.Ring.Do(ctx, "REPLICAOF", "NO", "ONE").Err() })
		}},
		{Name: "redis is out of memory", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { return r.Ring.ConfigSet(ctx, "maxmemory", "1mb").Err() },
				func() error { return r.Ring.ConfigSet(ctx, "maxmemory", "0").Err() })
		}},
		{Name: "redis is slow", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.RedisProxy.Delay(200 * time.Millisecond); return nil },
				func() error { r.RedisProxy.Delay(0); return nil })
		}},
		{Name: "redis does not answer", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.RedisProxy.Stall(true); return nil },
				func() error { r.RedisProxy.Stall(false); return nil })
		}},
		{Name: "redis refuses connections", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.RedisProxy.Refuse(true); return nil },
				func() error { r.RedisProxy.Refuse(false); return nil })
		}},
		{Name: "redis forgets its scripts", Inject: func(ctx context.Context, r *rig.Rig, _ *rand.Rand) error {
			return r.EachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.ScriptFlush(ctx).Err() })
		}},
		{Name: "replies of claims are lost", Needs: single, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.RedisProxy.LoseClaims(10); return nil },
				func() error { r.RedisProxy.LoseClaims(0); return nil })
		}},
	}
}

// during injected for one to four seconds.
func during(ctx context.Context, rng *rand.Rand, begin, end func() error) error {
	if err := begin(); err != nil {
		return errors.Join(err, end())
	}
	some(ctx, rng, time.Second, 4*time.Second)
	return end()
}

// FlushAll empties every server of Redis.
func FlushAll(ctx context.Context, r *rig.Rig, _ *rand.Rand) error {
	return r.EachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.FlushAll(ctx).Err() })
}

// RestartRedisEmpty kills Redis, which keeps nothing on its disk, and starts
// it again after a while.
func RestartRedisEmpty(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	if err := r.Redis.Kill(); err != nil {
		return err
	}
	some(ctx, rng, 100*time.Millisecond, 2*time.Second)
	return r.Redis.Start(ctx)
}

// restoreOld lets Redis come back as it was some seconds ago, as a replica does
// that lagged behind and was promoted: it is saved, goes on, is killed, and is
// started on what was saved.
func restoreOld(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	err := r.Ring.Save(ctx).Err()
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	some(ctx, rng, time.Second, 4*time.Second)
	if err := r.Redis.Kill(); err != nil {
		return err
	}
	if err := r.Redis.Start(ctx); err != nil {
		return err
	}
	dir, err := r.Ring.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return fmt.Errorf("find the dump: %w", err)
	}
	return os.Remove(filepath.Join(dir["dir"], "dump.rdb"))
}

// Strays puts ids into Redis that name nothing, or what ended long ago.
func Strays(ctx context.Context, r *rig.Rig, ids []string) error {
	members := make([]redis.Z, len(ids))
	for i, id := range ids {
		members[i] = redis.Z{Score: float64(i), Member: id}
	}
	if err := r.Ring.ZAdd(ctx, "timewheel:{webhook}:due", members...).Err(); err != nil {
		return fmt.Errorf("put strays into redis: %w", err)
	}
	return nil
}
