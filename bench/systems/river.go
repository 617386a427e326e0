package systems

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/timewheel/timewheel/bench/rig"
)

// RiverWorker is the role of River's worker.
const RiverWorker = "river-worker"

const (
	// riverConnections lets each of 64 clients have a connection, so that none
	// waits for the pool.
	riverConnections = 64
	// riverChunk is how many jobs one COPY puts in when it is not measured.
	riverChunk = 5000
)

func riverSystem() System {
	setting := func(workers, cooldown, poll string) Setting {
		return Setting{
			fmt.Sprintf("MaxWorkers %s, FetchCooldown %s, FetchPollInterval %s", workers, cooldown, poll),
			map[string]string{"RIVER_MAX_WORKERS": workers, "RIVER_COOLDOWN": cooldown, "RIVER_POLL": poll},
		}
	}
	return System{
		Name:       "River",
		WorkerRole: RiverWorker,
		Migrate:    migrateRiver,
		Connect:    connectRiver,
		ForRate: []Setting{
			setting("1000", "10ms", "1s"), setting("100", "100ms", "1s"), setting("1000", "100ms", "1s"),
			setting("1000", "1ms", "1s"), setting("2000", "10ms", "1s"), setting("2000", "50ms", "1s"),
			setting("5000", "50ms", "1s"),
		},
		ForTime: []Setting{
			setting("1000", "10ms", "100ms"), setting("100", "100ms", "1s"), setting("1000", "1ms", "10ms"),
		},
		AtRest: setting("100", "100ms", "1s"),
	}
}

func migrateRiver(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("open a pool: %w", err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return fmt.Errorf("open River's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("apply River's migrations: %w", err)
	}
	return nil
}

// riverArgs are those of the one kind of job that runs. Its due time is in its
// row.
type riverArgs struct {
	Bench bool `json:"bench"`
}

// Kind names the job to River.
func (riverArgs) Kind() string { return noop }

type riverClient struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func connectRiver(ctx context.Context, r *rig.Rig) (Client, error) {
	cfg, err := pgxpool.ParseConfig(r.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the postgres URL: %w", err)
	}
	cfg.MaxConns = riverConnections
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open a pool: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open a River client: %w", err)
	}
	return &riverClient{pool, client}, nil
}

// Close closes the pool.
func (c *riverClient) Close() error {
	c.pool.Close()
	return nil
}

// Nodes has none: River is a library.
func (c *riverClient) Nodes() []*rig.Process { return nil }

// Submitter shares the client, which is made for that.
func (c *riverClient) Submitter(context.Context) (Submitter, error) {
	return riverSubmitter{c.client}, nil
}

type riverSubmitter struct{ client *river.Client[pgx.Tx] }

// Create inserts one job.
func (s riverSubmitter) Create(ctx context.Context, due time.Time) error {
	_, err := s.client.Insert(ctx, riverArgs{Bench: true}, &river.InsertOpts{ScheduledAt: due})
	return err
}

// Close has nothing to close.
func (s riverSubmitter) Close() error { return nil }

// Bulks has the faster call first.
func (c *riverClient) Bulks() []Bulk {
	return []Bulk{
		{"InsertManyFast (COPY)", func(ctx context.Context, due []time.Time) error {
			_, err := c.client.InsertManyFast(ctx, riverParams(due))
			return err
		}},
		{"InsertMany", func(ctx context.Context, due []time.Time) error {
			_, err := c.client.InsertMany(ctx, riverParams(due))
			return err
		}},
	}
}

func riverParams(due []time.Time) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(due))
	for i, at := range due {
		params[i] = river.InsertManyParams{Args: riverArgs{Bench: true}, InsertOpts: &river.InsertOpts{ScheduledAt: at}}
	}
	return params
}

// Preload makes jobs that are due already available at once, which is what
// River's scheduler would do with them at its own pace.
func (c *riverClient) Preload(ctx context.Context, due []time.Time) error {
	return chunks(due, riverChunk, func(part []time.Time) error {
		if part[0].After(time.Now()) {
			_, err := c.client.InsertManyFast(ctx, riverParams(part))
			return err
		}
		_, err := c.pool.Exec(ctx, `
			INSERT INTO river_job (args, kind, max_attempts, scheduled_at, state)
			SELECT '`+payload+`', $2, 25, at, 'available'
			FROM unnest($1::timestamptz[]) WITH ORDINALITY AS due (at, n) ORDER BY n`, part, noop)
		if err != nil {
			return fmt.Errorf("make jobs available: %w", err)
		}
		return nil
	})
}

// Warm waits until a worker leads: only a leader moves scheduled jobs.
func (c *riverClient) Warm(ctx context.Context) error {
	for {
		var leads bool
		if err := c.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM river_leader)`).Scan(&leads); err != nil {
			return fmt.Errorf("look for River's leader: %w", err)
		}
		if leads {
			return nil
		}
		if err := rig.Pause(ctx, lookPause); err != nil {
			return err
		}
	}
}

// Idle names every state, as the index wants it.
func (c *riverClient) Idle(ctx context.Context) (idle bool, err error) {
	err = c.pool.QueryRow(ctx, `
		SELECT NOT EXISTS (
			SELECT FROM unnest('{available,running,retryable,scheduled}'::river_job_state[]) AS waiting (state)
			CROSS JOIN LATERAL (
				SELECT FROM river_job
				WHERE river_job.state = waiting.state AND queue = 'default' AND priority = 1 AND scheduled_at <= now()
				ORDER BY scheduled_at LIMIT 1) AS job)`).Scan(&idle)
	if err != nil {
		return false, fmt.Errorf("ask postgres what is left: %w", err)
	}
	return idle, nil
}

// Finished counts the jobs of the kind that runs; those of History are others.
func (c *riverClient) Finished(ctx context.Context) (n int, err error) {
	if err := c.pool.QueryRow(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what is done: %w", err)
	}
	return n, nil
}
