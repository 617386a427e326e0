// Package rig builds the system for a run: binaries with failpoints, private
// stores behind proxies, API and worker processes, and the witness that the
// tasks call.
package rig

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/testkit/proxy"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// Config describes a system.
type Config struct {
	Seed          uint64
	APIs, Workers int
	Concurrency   int           // slots of a worker
	Lease         time.Duration // of a worker's session
	Horizon       time.Duration // of the due index
	RedisAhead    time.Duration // how far the clock is ahead that the scripts read
	ClockOff      time.Duration // how far the wall clock of every other API is off
	Disk          int           // MiB of a disk for Postgres alone, which can be filled; 0: none
	MaxInFlight   int           // requests that an API takes at once; 0: its default
	Outage        time.Duration // how long Postgres is away at most, when it is away for long
	Redis         string        // how Redis runs: single, sentinel or cluster
	Types         int           // how many types the tasks of the load have
	Retention     time.Duration // how long ended tasks are kept; 0: for longer than any run
	Bug           string        // the patch of a seeded bug to build in, or empty
}

const (
	// Grace is how long after its lease a session is still not declared dead.
	Grace = 2 * time.Second
	// MaxConnections is Postgres' own limit.
	MaxConnections = 150
)

// PastLease is long enough for a session that is not renewed to be found dead.
func (c Config) PastLease() time.Duration { return c.Lease + Grace + 2*time.Second }

//go:embed audit.sql
var auditSQL string

// Rig is a running system.
type Rig struct {
	Config  Config
	Record  *history.Recorder
	Witness *Witness

	Postgres      *stores.Postgres
	PostgresProxy *proxy.Postgres
	// One of these three is Redis. RedisProxy stands before a single one.
	Redis      *stores.Redis
	Sentinel   *stores.Sentinel
	Cluster    *stores.Cluster
	RedisProxy *proxy.Redis
	// DB and Ring reach the stores directly, past the proxies.
	DB   *pgxpool.Pool
	Ring redis.UniversalClient

	APIs, Workers []*Node
	Types         []client.Type // those of the load
	// Bodies is the kind of bodies that tasks carry now.
	Bodies atomic.Int32

	scratch  string
	redisURL string // where the nodes find Redis
	cancel   context.CancelFunc
	closers  []func() error // run in reverse
}

// New builds and starts a system, and returns once every node is ready. Close
// ends it, and must be called if there is no error.
func New(ctx context.Context, cfg Config, record *history.Recorder) (_ *Rig, err error) {
	scratch, err := os.MkdirTemp("", "timewheel-chaos-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	r := &Rig{Config: cfg, Record: record, scratch: scratch}
	r.onClose(func() error { return os.RemoveAll(scratch) })
	// Postgres' own user must get through it.
	err = os.Chmod(scratch, 0o711) //nolint:gosec // G302: see above.
	for _, step := range []func(context.Context) error{r.build, r.startPostgres, r.startRedis, r.startProxies, r.startNodes, r.Ready, r.declareTypes} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Rig) onClose(f func() error) { r.closers = append(r.closers, f) }

// Close ends everything that the rig started.
func (r *Rig) Close() (err error) {
	for _, f := range slices.Backward(r.closers) {
		err = errors.Join(err, f())
	}
	r.closers = nil
	return err
}

func (r *Rig) startPostgres(ctx context.Context) (err error) {
	settings := map[string]string{
		"max_connections": strconv.Itoa(MaxConnections), "shared_buffers": "128MB", "max_wal_size": "1GB",
	}
	dir := filepath.Join(r.scratch, "postgres")
	if r.Config.Disk > 0 {
		if dir, err = r.mountDisk(ctx); err != nil {
			return err
		}
		settings["max_wal_size"], settings["shared_buffers"] = "64MB", "64MB"
	}
	if r.Postgres, err = stores.StartPostgres(ctx, stores.Options{Dir: dir, Settings: settings}); err != nil {
		return err
	}
	r.onClose(r.Postgres.Close)
	if err := migrations.Up(r.Postgres.URL()); err != nil {
		return err
	}
	if r.DB, err = pgxpool.New(ctx, r.Postgres.URL()); err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	r.onClose(func() error { r.DB.Close(); return nil })
	if _, err := r.DB.Exec(ctx, auditSQL); err != nil {
		return fmt.Errorf("install the audit of transitions: %w", err)
	}
	return nil
}

func (r *Rig) postgresAddr() string {
	return fmt.Sprintf("127.0.0.1:%d", r.DB.Config().ConnConfig.Port)
}

func (r *Rig) startProxies(context.Context) (err error) {
	if r.Witness, err = newWitness(r.Record); err != nil {
		return err
	}
	r.onClose(r.Witness.Close)
	if r.PostgresProxy, err = proxy.NewPostgres(r.postgresAddr); err != nil {
		return fmt.Errorf("start the postgres proxy: %w", err)
	}
	r.onClose(r.PostgresProxy.Close)
	single, ok := r.Ring.(*redis.Client)
	if r.Redis == nil || !ok {
		return nil
	}
	addr := single.Options().Addr
	if r.RedisProxy, err = proxy.NewRedis(func() string { return addr }); err != nil {
		return fmt.Errorf("start the redis proxy: %w", err)
	}
	r.onClose(r.RedisProxy.Close)
	r.redisURL = strings.Replace(r.redisURL, addr, r.RedisProxy.Addr(), 1)
	return nil
}
