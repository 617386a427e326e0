package rig

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	// Types are those of the load, by name.
	Types []client.Type

	Nodes []*Node
	// Bodies is the kind of bodies that tasks carry now, see Body.
	Bodies atomic.Int32
	// Disk is the folder that is a disk of its own, or empty.
	Disk string

	scratch string
	cancel  context.CancelFunc
	closers []func() error // run in reverse
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
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	// Postgres' own user must get through it.
	if err := os.Chmod(scratch, 0o711); err != nil { //nolint:gosec // G302: see above.
		return nil, fmt.Errorf("open the temporary folder: %w", err)
	}
	var patches []string
	if cfg.Bug != "" {
		patches = append(patches, cfg.Bug)
	}
	if err := Build(ctx, filepath.Join(scratch, "bin"), patches, cfg.RedisAhead); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{r.startStores, r.startRedis, r.startProxies, r.startNodes, r.Ready, r.declareTypes} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Rig) onClose(f func() error) { r.closers = append(r.closers, f) }

// Close ends everything that the rig started.
func (r *Rig) Close() (err error) {
	for i := len(r.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, r.closers[i]())
	}
	r.closers = nil
	return err
}

func (r *Rig) startStores(ctx context.Context) (err error) {
	if err := r.mountDisk(ctx); err != nil {
		return err
	}
	settings := map[string]string{
		"max_connections": strconv.Itoa(r.Config.MaxConnections),
		"shared_buffers":  "128MB", "max_wal_size": "1GB",
	}
	options := stores.Options{Dir: filepath.Join(r.scratch, "postgres"), Settings: settings}
	if r.Disk != "" {
		options.Dir = r.Disk
		settings["max_wal_size"], settings["shared_buffers"] = "64MB", "64MB"
	}
	if r.Postgres, err = stores.StartPostgres(ctx, options); err != nil {
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

func (r *Rig) startProxies(context.Context) (err error) {
	r.Witness, err = NewWitness(r.Record)
	if err != nil {
		return err
	}
	r.onClose(r.Witness.Close)
	if r.PostgresProxy, err = proxy.NewPostgres(func() string { return hostOf(r.Postgres.URL()) }); err != nil {
		return fmt.Errorf("start the postgres proxy: %w", err)
	}
	r.onClose(r.PostgresProxy.Close)
	if r.Redis == nil {
		return nil
	}
	if r.RedisProxy, err = proxy.NewRedis(func() string { return hostOf(r.Redis.URL()) }); err != nil {
		return fmt.Errorf("start the redis proxy: %w", err)
	}
	r.onClose(r.RedisProxy.Close)
	return nil
}

func (r *Rig) startNodes(ctx context.Context) error {
	// Nodes end with Close, and not with the context that they were started in.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	inFlight := "API_MAX_IN_FLIGHT="
	if r.Config.MaxInFlight > 0 {
		inFlight += strconv.Itoa(r.Config.MaxInFlight)
	}
	for i := range r.Config.APIs {
		off := time.Duration(0)
		if i%2 == 1 {
			off = r.Config.ClockOff
		}
		if err := r.startNode(ctx, "api", i, "CHAOS_CLOCK="+off.String(), inFlight); err != nil {
			return err
		}
	}
	for i := range r.Config.Workers {
		err := r.startNode(ctx, "worker", i,
			"WORKER_CONCURRENCY="+strconv.Itoa(r.Config.Concurrency),
			"WORKER_LEASE="+r.Config.Lease.String(),
			"WORKER_DRAIN="+r.Config.Drain.String(),
			"TASK_TIMEOUT="+r.Config.TaskTimeout.String(),
			"WEBHOOK_ALLOW_PRIVATE=true")
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) startNode(ctx context.Context, program string, i int, env ...string) error {
	name := program + "-" + strconv.Itoa(i)
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(r.Record.Dir, name+".log")) //nolint:gosec // G304: the folder is the run's own.
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", name, err)
	}
	n := &Node{
		Name: name, Addr: addr, record: r.Record, log: log, stopped: make(chan struct{}),
		binary: filepath.Join(r.scratch, "bin", program), plan: filepath.Join(r.scratch, name+".failpoints"),
	}
	n.env = slices.Concat(env, []string{
		"DATABASE_URL=" + withHost(r.Postgres.URL(), r.PostgresProxy.Addr()),
		"REDIS_URL=" + r.redisURL(),
		"LISTEN_ADDR=" + addr, "API_SHUTDOWN_DELAY=0s", "WHEEL_HORIZON=" + r.Config.Horizon.String(), "LOG_LEVEL=info",
		"FAILPOINTS=" + r.Config.Failpoints, "FAILPOINTS_FILE=" + n.plan, "FAILPOINTS_LOG=" + n.hits(),
	})
	r.Nodes = append(r.Nodes, n)
	r.onClose(func() error { r.cancel(); return n.close() })
	go n.run(ctx)
	return nil
}

// Ready waits until every node serves.
func (r *Rig) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for _, n := range r.Nodes {
		for !n.Ready(ctx) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready, see its log: %w", n.Name, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// Ready reports whether the node says that it is.
func (n *Node) Ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Addr+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // nothing of it is read
	return answer.StatusCode == http.StatusOK
}

// freeAddr is an address that nobody listens on. A node keeps it for the run.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "" // the stores' own URLs always parse
	}
	return u.Host
}

func withHost(text, host string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	u.Host = host
	return u.String()
}
