package systems

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/timewheel/timewheel/bench/witness"
)

// stopPatience is how long a River client may take to stop.
const stopPatience = 20 * time.Second

type riverConfig struct {
	Worker     workerConfig
	MaxWorkers int           `env:"RIVER_MAX_WORKERS,required"`
	Cooldown   time.Duration `env:"RIVER_COOLDOWN,required"`
	Poll       time.Duration `env:"RIVER_POLL,required"`
}

// riverNoop is a worker that does nothing.
type riverNoop struct {
	river.WorkerDefaults[riverArgs]
	seen *witness.Witness
}

// Work does nothing but be seen.
func (w *riverNoop) Work(_ context.Context, job *river.Job[riverArgs]) error {
	w.seen.Saw(job.ScheduledAt)
	return nil
}

// riverWorkerConnections are those with which River's other settings were swept.
const riverWorkerConnections = 10

// RunRiverWorker is a River client that works. It begins when the driver lets
// it.
func RunRiverWorker(ctx context.Context) error {
	cfg, err := env.ParseAs[riverConfig]()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	poolConfig, err := pgxpool.ParseConfig(cfg.Worker.DatabaseURL)
	if err != nil {
		return errors.New("read the postgres URL: it is not valid")
	}
	poolConfig.MaxConns = riverWorkerConnections
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return fmt.Errorf("open a pool: %w", err)
	}
	defer pool.Close()
	seen := witness.New()
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &riverNoop{seen: seen}); err != nil {
		return fmt.Errorf("register the worker: %w", err)
	}
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
	return besideWitness(ctx, seen, cfg.Worker.ListenAddr, func() error {
		background := context.WithoutCancel(ctx)
		if err := client.Start(background); err != nil {
			return fmt.Errorf("start River: %w", err)
		}
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(background, stopPatience)
		defer cancel()
		if err := client.Stop(bounded); err != nil {
			return fmt.Errorf("stop River: %w", err)
		}
		return nil
	})
}
