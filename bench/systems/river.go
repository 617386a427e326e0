package systems

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/timewheel/timewheel/bench/rig"
)

const (
	// riverChunk is how many jobs one COPY puts in when it is not measured.
	riverChunk = 5000
	// riverStopPatience is how long a River client may take to stop.
	riverStopPatience = 20 * time.Second
)

func riverSystem() System {
	setting := func(workers, cooldown, poll string) Setting {
		return Setting{"MaxWorkers=" + workers, "FetchCooldown=" + cooldown, "FetchPollInterval=" + poll}
	}
	return System{
		Name:    "River",
		Migrate: migrateRiver,
		Connect: connectRiver,
		Settings: map[Purpose][]Setting{
			Rate: {
				setting("1000", "10ms", "1s"), setting("100", "100ms", "1s"), setting("1000", "100ms", "1s"),
				setting("1000", "1ms", "1s"), setting("2000", "10ms", "1s"), setting("2000", "50ms", "1s"),
				setting("5000", "50ms", "1s"),
			},
			Lateness: {setting("1000", "10ms", "100ms"), setting("100", "100ms", "1s"), setting("1000", "1ms", "10ms")},
			Rest:     {setting("100", "100ms", "1s")},
		},
	}
}

func migrateRiver(ctx context.Context, url string) error {
	pool, err := openPool(ctx, url, "pool_max_conns=1")
	if err != nil {
		return err
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

// riverArgs are those of the one kind of job that runs. Its due time is in its row.
type riverArgs struct {
	Bench bool `json:"bench"`
}

// Kind names the job to River.
func (riverArgs) Kind() string { return noop }

// runRiverWorker is a River client that works. It begins when the driver lets it.
func runRiverWorker(ctx context.Context, seen *rig.Witness) error {
	cfg, err := env.ParseAs[struct {
		DatabaseURL string        `env:"DATABASE_URL,required"`
		MaxWorkers  int           `env:"MaxWorkers,required"`
		Cooldown    time.Duration `env:"FetchCooldown,required"`
		Poll        time.Duration `env:"FetchPollInterval,required"`
	}]()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	// With so many connections River's other settings were swept.
	pool, err := openPool(ctx, cfg.DatabaseURL, "pool_max_conns=10")
	if err != nil {
		return err
	}
	defer pool.Close()
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[riverArgs]) error {
		seen.Saw(job.ScheduledAt)
		return nil
	}))
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.MaxWorkers}},
		Workers:           workers,
		FetchCooldown:     cfg.Cooldown,
		FetchPollInterval: cfg.Poll,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return fmt.Errorf("open a River client: %w", err)
	}
	if seen.Hold(ctx) != nil {
		return nil // It was stopped before it was let go.
	}
	background := context.WithoutCancel(ctx)
	if err := client.Start(background); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	<-ctx.Done()
	bounded, cancel := context.WithTimeout(background, riverStopPatience)
	defer cancel()
	if err := client.Stop(bounded); err != nil {
		return fmt.Errorf("stop River: %w", err)
	}
	return nil
}

var (
	//go:embed river_idle.sql
	riverIdle string
	// riverHistory makes rows, given their number and the kinds.
	//go:embed river_history.sql
	riverHistory string
)

type riverClient struct {
	store
	client *river.Client[pgx.Tx]
}

func connectRiver(ctx context.Context, r *rig.Rig, _ string) (Client, error) {
	// Each of 64 clients has a connection, so that none waits for the pool.
	pool, err := openPool(ctx, r.DatabaseURL, "pool_max_conns=64")
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open a River client: %w", err)
	}
	asked := store{pool: pool, table: "river_job", finished: "state = 'completed'", idle: riverIdle, history: riverHistory}
	return &riverClient{asked, client}, nil
}

// Create inserts one job.
func (c *riverClient) Create(ctx context.Context, due time.Time) error {
	_, err := c.client.Insert(ctx, riverArgs{Bench: true}, &river.InsertOpts{ScheduledAt: due})
	return err
}

// Bulks has the faster call first.
func (c *riverClient) Bulks() []Bulk {
	return []Bulk{
		{"InsertManyFast (COPY)", c.copy},
		{"InsertMany", func(ctx context.Context, due []time.Time) error {
			_, err := c.client.InsertMany(ctx, riverParams(due))
			return err
		}},
	}
}

func (c *riverClient) copy(ctx context.Context, due []time.Time) error {
	_, err := c.client.InsertManyFast(ctx, riverParams(due))
	return err
}

func riverParams(due []time.Time) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(due))
	for i, at := range due {
		params[i] = river.InsertManyParams{Args: riverArgs{Bench: true}, InsertOpts: &river.InsertOpts{ScheduledAt: at}}
	}
	return params
}

// Preload makes jobs that are due already available at once, which is what River's
// scheduler would do with them at its own pace.
func (c *riverClient) Preload(ctx context.Context, due []time.Time) error {
	for part := range slices.Chunk(due, riverChunk) {
		if part[0].After(time.Now()) {
			if err := c.copy(ctx, part); err != nil {
				return err
			}
			continue
		}
		_, err := c.pool.Exec(ctx, `
			INSERT INTO river_job (args, kind, max_attempts, scheduled_at, state)
			SELECT '`+payload+`', $2, 25, at, 'available'
			FROM unnest($1::timestamptz[]) WITH ORDINALITY AS due (at, n) ORDER BY n`, part, noop)
		if err != nil {
			return fmt.Errorf("make jobs available: %w", err)
		}
	}
	return nil
}

// Warm looks whether a worker leads: only a leader moves scheduled jobs.
func (c *riverClient) Warm(ctx context.Context) (bool, error) {
	return ask[bool](ctx, c.store, "SELECT EXISTS (SELECT FROM river_leader)")
}

// Queries implements Client.
func (c *riverClient) Queries(ctx context.Context) ([]Query, error) {
	return queries(ctx, c.store, []string{"completed", "discarded", "cancelled", "scheduled"}, c.list,
		func(ctx context.Context, id int64) error {
			_, err := c.client.JobGet(ctx, id)
			return err
		})
}

func (c *riverClient) list(ctx context.Context, state, kind string) error {
	params := river.NewJobListParams().OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(pageSize)
	if state != "" {
		params = params.States(rivertype.JobState(state))
	}
	if kind != "" {
		params = params.Kinds(kind)
	}
	page, err := c.client.JobList(ctx, params)
	if err != nil {
		return err
	}
	return notEmpty(len(page.Jobs))
}
