package systems

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/migrations"
)

// The roles of timewheel's processes.
const (
	TimewheelAPI    = "timewheel-api"
	TimewheelWorker = "timewheel-worker"
)

func timewheel() System {
	concurrency := func(n string) Setting {
		return Setting{"concurrency " + n, map[string]string{"WORKER_CONCURRENCY": n}}
	}
	return System{
		Name:       "timewheel",
		WorkerRole: TimewheelWorker,
		Migrate:    func(_ context.Context, url string) error { return migrations.Up(url) },
		Connect:    func(ctx context.Context, r *rig.Rig) (Client, error) { return connectTimewheel(ctx, r, spawnRealAPI) },
		ForRate:    []Setting{concurrency("4000"), concurrency("1000"), concurrency("8000")},
		ForTime:    []Setting{concurrency("10000")},
		AtRest:     concurrency("100"),
	}
}

type timewheelClient struct {
	rig   *rig.Rig
	api   *rig.Process
	pool  *pgxpool.Pool // for what the store says
	asker *httpConn     // what the queries go through, or nil

	mu   sync.Mutex
	idle []*httpConn // connections that batches have used
}

// Profiled is timewheel with the API of RunTimewheelAPI in place of the real
// one, for the profiler.
func Profiled() System {
	s := timewheel()
	s.Connect = func(ctx context.Context, r *rig.Rig) (Client, error) {
		return connectTimewheel(ctx, r, func(ctx context.Context, r *rig.Rig) (*rig.Process, error) {
			return r.SpawnRole(ctx, TimewheelAPI, nil)
		})
	}
	return s
}

// spawnRealAPI runs services/api as it is built for production.
func spawnRealAPI(ctx context.Context, r *rig.Rig) (*rig.Process, error) {
	program, err := r.Build(ctx, "./services/api")
	if err != nil {
		return nil, err
	}
	return r.Spawn(ctx, TimewheelAPI, exec.Command(program), nil) //nolint:gosec,noctx // G204: we have built it. The rig ends it.
}

func connectTimewheel(
	ctx context.Context, r *rig.Rig, spawnAPI func(context.Context, *rig.Rig) (*rig.Process, error),
) (_ Client, err error) {
	c := &timewheelClient{rig: r}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.api, err = spawnAPI(ctx, r); err != nil {
		return nil, err
	}
	if c.pool, err = openOnlooker(ctx, r.DatabaseURL); err != nil {
		return nil, fmt.Errorf("open a pool for looking on: %w", err)
	}
	return c, nil
}

// openOnlooker is a pool that asks through indexes, as timewheel's own does: to
// look through a long history for what is left would be measured as work.
func openOnlooker(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.RuntimeParams["enable_seqscan"] = "off"
	config.ConnConfig.RuntimeParams["enable_bitmapscan"] = "off"
	return pgxpool.NewWithConfig(ctx, config)
}

// Close closes the connections and stops the API.
func (c *timewheelClient) Close() error {
	var err error
	for _, conn := range c.idle {
		err = errors.Join(err, conn.Close())
	}
	if c.asker != nil {
		err = errors.Join(err, c.asker.Close())
	}
	if c.pool != nil {
		c.pool.Close()
	}
	if c.api != nil {
		err = errors.Join(err, c.api.Stop())
	}
	return err
}

// Nodes is the API.
func (c *timewheelClient) Nodes() []*rig.Process { return []*rig.Process{c.api} }

// Warm waits until a worker has built the wheel.
func (c *timewheelClient) Warm(ctx context.Context) error {
	for {
		built, err := c.rig.Redis.HExists(ctx, "timewheel:{wheel}:epoch", "indexed_until").Result()
		if err != nil {
			return fmt.Errorf("look whether the wheel is built: %w", err)
		}
		if built {
			return nil
		}
		if err := rig.Pause(ctx, lookPause); err != nil {
			return err
		}
	}
}

// lookPause is between two looks at what a worker begins with.
const lookPause = 10 * time.Millisecond

// Idle asks the index of the tasks that have not ended.
func (c *timewheelClient) Idle(ctx context.Context) (idle bool, err error) {
	err = c.pool.QueryRow(ctx, `
		SELECT NOT EXISTS (SELECT FROM tasks WHERE outcome = 'open' AND due_at <= now() ORDER BY due_at LIMIT 1)`).Scan(&idle)
	if err != nil {
		return false, fmt.Errorf("ask postgres what is left: %w", err)
	}
	return idle, nil
}

// Finished counts the rows that are done.
func (c *timewheelClient) Finished(ctx context.Context) (n int, err error) {
	if err := c.pool.QueryRow(ctx, `SELECT count(*) FROM tasks WHERE status = 'done'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what is done: %w", err)
	}
	return n, nil
}

// Bytes is the size of the one table that grows with the tasks.
func (c *timewheelClient) Bytes(ctx context.Context) (n float64, err error) {
	if err := c.pool.QueryRow(ctx, `SELECT pg_total_relation_size('tasks')`).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask postgres for the size of the tasks: %w", err)
	}
	return n, nil
}
