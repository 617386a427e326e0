// Package rig is what every measurement stands on: one private Postgres and one
// private Redis with durable settings, the processes of the systems, and
// what the kernel and the stores say of their cost.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

// databaseName is the one database that a measurement uses.
const databaseName = "measured"

// Rig is the pair of stores. It is for one goroutine.
type Rig struct {
	// DatabaseURL and RedisURL are where a measurement finds its stores.
	DatabaseURL, RedisURL string
	// Redis is a client for looking at the store, not for the work.
	Redis *redis.Client
	// Profile is what the names of the CPU profiles begin with that each process
	// makes of itself. Empty: none are made.
	Profile string

	dir      string
	postgres *stores.Postgres
	redis    *stores.Redis
	spawned  int
}

// Start brings both stores up with fsync and synchronous_commit on and the
// append-only file synced every second, which are the defaults of package
// stores, and logs in a folder of its own. What an installation says goes to
// out.
func Start(ctx context.Context, out io.Writer, settings map[string]string) (r *Rig, err error) {
	if err := stores.Install(ctx, out); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "timewheel-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the stores: %w", err)
	}
	r = &Rig{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // G302: Postgres' own user must get through.
		return nil, fmt.Errorf("open the folder of the stores: %w", err)
	}
	if r.postgres, err = stores.StartPostgres(ctx, stores.Options{Dir: dir, Settings: settings}); err != nil {
		return nil, err
	}
	if r.redis, err = stores.StartRedis(ctx, stores.Options{Dir: dir}); err != nil {
		return nil, err
	}
	r.DatabaseURL, r.RedisURL = r.postgres.Database(databaseName), r.redis.URL()
	r.Redis, err = OpenRedis(r.RedisURL, 4)
	return r, err
}

// Close ends the stores and removes their data.
func (r *Rig) Close() error {
	var err error
	if r.Redis != nil {
		err = r.Redis.Close()
	}
	if r.redis != nil {
		err = errors.Join(err, r.redis.Close())
	}
	if r.postgres != nil {
		err = errors.Join(err, r.postgres.Close())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// Fresh empties Redis and its append-only file, and replaces the database by a
// copy of the template of this name, so that no measurement sees another's
// leftovers. The statistics of both stores start from zero.
func (r *Rig) Fresh(ctx context.Context, template string) error {
	if err := r.flushRedis(ctx); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	err := execute(ctx, r.postgres.URL(),
		"DROP DATABASE IF EXISTS "+databaseName+" WITH (FORCE)",
		"CREATE DATABASE "+databaseName+" TEMPLATE "+template,
		"CHECKPOINT")
	if err != nil {
		return fmt.Errorf("make a fresh database: %w", err)
	}
	return nil
}

// Settle brings both stores to rest after rows were put in: statistics are
// fresh, nothing waits to be written, and no rewrite of the append-only file
// is left to fall into the measurement.
func (r *Rig) Settle(ctx context.Context) error {
	if err := execute(ctx, r.DatabaseURL, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return fmt.Errorf("settle the stores: %w", err)
	}
	return r.rewriteAppendOnly(ctx)
}

// Counts are how many Redis commands, those inside scripts included, and how
// many Postgres transactions have ended since Fresh.
type Counts struct{ Commands, Transactions float64 }

// Counts asks both stores.
func (r *Rig) Counts(ctx context.Context) (c Counts, err error) {
	if c.Commands, err = r.redisNumber(ctx, "Stats", "total_commands_processed"); err != nil {
		return c, err
	}
	c.Transactions, err = r.transactions(ctx)
	return c, err
}

// Pause waits for d or the end of ctx, which is the error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Until asks whether something is so, again and again with a pause in between,
// until it is, or cannot be asked, or ctx ends.
func Until(ctx context.Context, pause time.Duration, so func() (bool, error)) error {
	for {
		if yes, err := so(); yes || err != nil {
			return err
		}
		if err := Pause(ctx, pause); err != nil {
			return err
		}
	}
}
