package systems

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/witness"
)

// workerConfig is what every rival's worker is told.
type workerConfig struct {
	DatabaseURL string `env:"DATABASE_URL,required"`
	RedisURL    string `env:"REDIS_URL,required"`
	ListenAddr  string `env:"LISTEN_ADDR,required"`
}

type asynqConfig struct {
	Worker       workerConfig
	Concurrency  int           `env:"ASYNQ_CONCURRENCY,required"`
	Check        time.Duration `env:"ASYNQ_CHECK,required"`
	DelayedCheck time.Duration `env:"ASYNQ_DELAYED_CHECK,required"`
}

// RunAsynqWorker is an asynq server with a handler that does nothing. It begins
// when the driver lets it.
func RunAsynqWorker(ctx context.Context) error {
	cfg, err := env.ParseAs[asynqConfig]()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	// A server takes its goroutines' connections from one pool.
	connection, err := rig.OpenRedis(cfg.Worker.RedisURL, max(20, min(cfg.Concurrency, 200)))
	if err != nil {
		return err
	}
	seen := witness.New()
	handler := func(_ context.Context, task *asynq.Task) error {
		if len(task.Payload()) != 8 {
			return errors.New("the payload is not a due time")
		}
		seen.Saw(time.UnixMicro(int64(binary.BigEndian.Uint64(task.Payload())))) //nolint:gosec // as it was written
		return nil
	}
	server := asynq.NewServerFromRedisClient(connection, asynq.Config{
		Concurrency:              cfg.Concurrency,
		TaskCheckInterval:        cfg.Check,
		DelayedTaskCheckInterval: cfg.DelayedCheck,
		LogLevel:                 asynq.ErrorLevel,
	})
	err = besideWitness(ctx, seen, cfg.Worker.ListenAddr, func() error {
		if err := server.Start(asynq.HandlerFunc(handler)); err != nil {
			return fmt.Errorf("start the asynq server: %w", err)
		}
		<-ctx.Done()
		server.Shutdown()
		return nil
	})
	return errors.Join(err, connection.Close())
}

// besideWitness serves the driver, and calls work once the driver lets it.
func besideWitness(ctx context.Context, seen *witness.Witness, address string, work func() error) error {
	listener, err := net.Listen("tcp", address) //nolint:noctx // It does not wait.
	if err != nil {
		return fmt.Errorf("listen for the driver: %w", err)
	}
	rig.Announce(listener.Addr().String())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return seen.Serve(ctx, listener) })
	group.Go(func() error {
		if err := seen.Released(ctx); err != nil {
			return nil //nolint:nilerr // It was stopped before it was let go.
		}
		return work()
	})
	return group.Wait()
}
