// Package rig is what every measurement stands on: one private Postgres and one
// private Redis with durable settings, the processes of the systems, and
// what the kernel and the stores say of their cost.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

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

	dir         string
	adminURL    string
	postgres    *stores.Postgres
	redis       *stores.Redis
	postgresPID int
	redisPID    int
	spawned     int
}

// Start brings both stores up with fsync and synchronous_commit on and the
// append-only file synced every second, which are the defaults of package
// stores, and logs in a folder of its own. What an installation says goes to
// out. statements loads pg_stat_statements.
func Start(ctx context.Context, out io.Writer, statements bool) (*Rig, error) {
	if err := stores.Install(ctx, out); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "timewheel-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the stores: %w", err)
	}
	r := &Rig{dir: dir}
	if err := r.start(ctx, statements); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) start(ctx context.Context, statements bool) (err error) {
	if err := os.Chmod(r.dir, 0o711); err != nil { //nolint:gosec // G302: Postgres' own user must get through.
		return fmt.Errorf("open the folder of the stores: %w", err)
	}
	settings := map[string]string{}
	if statements {
		settings["shared_preload_libraries"] = "pg_stat_statements"
	}
	if r.postgres, err = stores.StartPostgres(ctx, stores.Options{Dir: r.dir, Settings: settings}); err != nil {
		return err
	}
	if r.redis, err = stores.StartRedis(ctx, stores.Options{Dir: r.dir}); err != nil {
		return err
	}
	r.adminURL, r.RedisURL = r.postgres.URL(), r.redis.URL()
	if r.DatabaseURL, err = inDatabase(r.adminURL, databaseName); err != nil {
		return err
	}
	if r.Redis, err = OpenRedis(r.RedisURL, 4); err != nil {
		return err
	}
	if r.postgresPID, err = postmaster(r.dir); err != nil {
		return err
	}
	info, err := r.redisInfo(ctx, "server")
	if err != nil {
		return err
	}
	if r.redisPID, err = strconv.Atoi(info["process_id"]); err != nil {
		return fmt.Errorf("read the process id of redis: %w", err)
	}
	return nil
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

// Template makes the database that Fresh copies for this name, and lets migrate
// fill it.
func (r *Rig) Template(ctx context.Context, name string, migrate func(ctx context.Context, url string) error) error {
	if err := r.admin(ctx, "CREATE DATABASE "+template(name)); err != nil {
		return fmt.Errorf("make a template database: %w", err)
	}
	target, err := inDatabase(r.adminURL, template(name))
	if err != nil {
		return err
	}
	if err := migrate(ctx, target); err != nil {
		return fmt.Errorf("migrate the template database of %s: %w", name, err)
	}
	return nil
}

func template(name string) string { return "template_" + strings.ToLower(name) }

// Fresh empties Redis and its append-only file, and replaces the database by a
// copy of the template of this name, so that no measurement sees another's
// leftovers. The statistics of both stores start from zero.
func (r *Rig) Fresh(ctx context.Context, name string) error {
	if err := r.flushRedis(ctx); err != nil {
		return fmt.Errorf("empty redis: %w", err)
	}
	err := r.admin(ctx,
		"DROP DATABASE IF EXISTS "+databaseName+" WITH (FORCE)",
		"CREATE DATABASE "+databaseName+" TEMPLATE "+template(name),
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
	if err := r.Exec(ctx, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return fmt.Errorf("settle the stores: %w", err)
	}
	return r.rewriteAppendOnly(ctx)
}

// Exec runs statements in the measured database, each on its own.
func (r *Rig) Exec(ctx context.Context, statements ...string) error {
	return execute(ctx, r.DatabaseURL, statements...)
}

func (r *Rig) admin(ctx context.Context, statements ...string) error {
	return execute(ctx, r.adminURL, statements...)
}

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

// OpenRedis is a client with the settings that timewheel, asynq and the rig
// itself share: no handshakes that an older server refuses.
func OpenRedis(target string, connections int) (*redis.Client, error) {
	options, err := redis.ParseURL(target)
	if err != nil {
		return nil, errors.New("the redis URL is not valid")
	}
	options.PoolSize = connections
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

func inDatabase(server, database string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return "", errors.New("the postgres URL is not valid")
	}
	parsed.Path = "/" + database
	return parsed.String(), nil
}

// postmaster reads the process id that Postgres leaves in its data folder.
func postmaster(dir string) (int, error) {
	content, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid")) //nolint:gosec // G304: the path is our own.
	if err != nil {
		return 0, fmt.Errorf("read the process id of postgres: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	id, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("read the process id of postgres: %w", err)
	}
	return id, nil
}
