// Package rig is what every measurement stands on: one private Postgres and one private
// Redis with durable settings, the processes of the systems with a witness in each worker,
// and what the kernel and the stores say of their cost.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

const (
	// databaseName is the one database that a measurement uses.
	databaseName = "measured"
	nodeName     = "node"
)

// Rig is the pair of stores. It is for one goroutine.
type Rig struct {
	// DatabaseURL and RedisURL are where a measurement finds its stores.
	DatabaseURL, RedisURL string
	// Redis is a client for looking at the store, not for the work.
	Redis *redis.Client
	// Profile is what the names of the CPU profiles begin with that each process makes of
	// itself. Empty: none are made.
	Profile string

	dir      string // of the node and its logs
	postgres *stores.Postgres
	redis    *stores.Redis
}

// Start builds the node, and brings both stores up with fsync and synchronous_commit on and
// the append-only file synced every second, which are the defaults of package stores. What
// an installation says goes to out. The settings are Postgres'.
func Start(ctx context.Context, out io.Writer, settings map[string]string) (*Rig, error) {
	if err := stores.Install(ctx, out); err != nil {
		return nil, err
	}
	r := &Rig{}
	if err := r.start(ctx, settings); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, settings map[string]string) (err error) {
	if r.dir, err = os.MkdirTemp("", "timewheel-bench-"); err != nil {
		return fmt.Errorf("make a folder for the node: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(r.dir, nodeName), "./node") //nolint:gosec // G204: all are our own.
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the node: %w: %s", err, output)
	}
	if r.postgres, err = stores.StartPostgres(ctx, stores.Options{Settings: settings}); err != nil {
		return err
	}
	if r.redis, err = stores.StartRedis(ctx, stores.Options{}); err != nil {
		return err
	}
	r.DatabaseURL, r.RedisURL = r.postgres.Database(databaseName), r.redis.URL()
	r.Redis, err = OpenRedis(r.RedisURL, 4)
	return err
}

// Close ends the stores and removes their data.
func (r *Rig) Close() (err error) {
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

// OpenRedis is a client with the settings that timewheel, asynq and the rig itself share:
// no handshakes that an older server refuses.
func OpenRedis(url string, connections int) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the redis URL is not valid") // The cause quotes the password.
	}
	options.PoolSize = connections
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// Fresh empties Redis and its append-only file, and replaces the database by one that
// migrate fills, so that no measurement sees another's leftovers.
func (r *Rig) Fresh(ctx context.Context, migrate func(ctx context.Context, url string) error) error {
	if err := r.Redis.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	err := execute(ctx, r.postgres.URL(), "DROP DATABASE IF EXISTS "+databaseName+" WITH (FORCE)", "CREATE DATABASE "+databaseName)
	if err != nil {
		return fmt.Errorf("make a fresh database: %w", err)
	}
	if err := migrate(ctx, r.DatabaseURL); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	return r.Settle(ctx)
}

// Settle brings both stores to rest after rows were put in: statistics are fresh, nothing
// waits to be written, and no rewrite of the append-only file is left to fall into the
// measurement.
func (r *Rig) Settle(ctx context.Context) error {
	if err := execute(ctx, r.DatabaseURL, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return fmt.Errorf("settle postgres: %w", err)
	}
	const pause = 5 * time.Millisecond
	rewritten := func() (bool, error) {
		info, err := r.Redis.InfoMap(ctx, "persistence").Result()
		now := info["Persistence"]
		return now["aof_rewrite_in_progress"] == "0" && now["aof_rewrite_scheduled"] == "0", err
	}
	err := Until(ctx, pause, rewritten)
	if err == nil {
		err = r.Redis.BgRewriteAOF(ctx).Err()
	}
	if err == nil {
		err = Until(ctx, pause, rewritten)
	}
	if err != nil {
		return fmt.Errorf("settle redis: %w", err)
	}
	return nil
}

// execute runs statements, each on its own.
func execute(ctx context.Context, url string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// Pause waits for d or the end of ctx, which is the error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Until asks whether something is so, with a pause after each no, until it is so, cannot be
// asked, or ctx ends.
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
