package systems

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/rig"
)

const (
	asynqQueue = "default"
	// asynqLanes is how many goroutines put tasks in when it is not measured.
	asynqLanes = 64
)

func asynqSystem() System {
	setting := func(concurrency, check, delayed string) Setting {
		return Setting{"Concurrency=" + concurrency, "TaskCheckInterval=" + check, "DelayedTaskCheckInterval=" + delayed}
	}
	return System{
		Name:    "asynq",
		Migrate: noSchema,
		Connect: connectAsynq,
		Settings: map[Purpose][]Setting{
			Rate: {
				setting("50", "1s", "5s"), setting("10", "1s", "5s"), setting("200", "1s", "5s"), setting("1000", "1s", "5s"),
				setting("50", "10ms", "5s"),
			},
			Lateness: {setting("200", "10ms", "100ms"), setting("200", "1s", "5s"), setting("200", "10ms", "10ms")},
			Rest:     {setting("10", "1s", "5s")},
		},
	}
}

// runAsynqWorker is an asynq server with a handler that does nothing. It begins when the
// driver lets it.
func runAsynqWorker(ctx context.Context, seen *rig.Witness) (err error) {
	cfg, err := env.ParseAs[struct {
		RedisURL     string        `env:"REDIS_URL,required"`
		Concurrency  int           `env:"Concurrency,required"`
		Check        time.Duration `env:"TaskCheckInterval,required"`
		DelayedCheck time.Duration `env:"DelayedTaskCheckInterval,required"`
	}]()
	if err != nil {
		return fmt.Errorf("read the environment: %w", err)
	}
	// A server takes its goroutines' connections from one pool.
	connection, err := rig.OpenRedis(cfg.RedisURL, max(20, min(cfg.Concurrency, 200)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	handler := func(_ context.Context, task *asynq.Task) error {
		if len(task.Payload()) != 8 {
			return errors.New("the payload is not a due time")
		}
		seen.Saw(time.UnixMicro(int64(binary.BigEndian.Uint64(task.Payload())))) //nolint:gosec // G115: as it was written.
		return nil
	}
	server := asynq.NewServerFromRedisClient(connection, asynq.Config{
		Concurrency:              cfg.Concurrency,
		TaskCheckInterval:        cfg.Check,
		DelayedTaskCheckInterval: cfg.DelayedCheck,
		LogLevel:                 asynq.ErrorLevel,
	})
	if seen.Hold(ctx) != nil {
		return nil // It was stopped before it was let go.
	}
	if err := server.Start(asynq.HandlerFunc(handler)); err != nil {
		return fmt.Errorf("start the asynq server: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

type asynqClient struct {
	redis     *redis.Client
	client    *asynq.Client
	inspector *asynq.Inspector
}

// connectAsynq shares the client among all who create, as its documentation advises.
func connectAsynq(_ context.Context, r *rig.Rig, _ string) (Client, error) {
	connection, err := rig.OpenRedis(r.RedisURL, asynqLanes)
	if err != nil {
		return nil, err
	}
	client, inspector := asynq.NewClientFromRedisClient(connection), asynq.NewInspectorFromRedisClient(connection)
	return &asynqClient{connection, client, inspector}, nil
}

// Close closes the one connection that the client and the inspector share.
func (c *asynqClient) Close() error { return c.redis.Close() }

// Create puts the due time into the payload: nothing else tells it to the handler.
func (c *asynqClient) Create(ctx context.Context, due time.Time) error {
	task := asynq.NewTask(noop, binary.BigEndian.AppendUint64(nil, uint64(due.UnixMicro())))
	if _, err := c.client.EnqueueContext(ctx, task, asynq.ProcessAt(due), asynq.MaxRetry(0)); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// Bulks has a loop: the library has no call for many tasks.
func (c *asynqClient) Bulks() []Bulk {
	return []Bulk{{"Enqueue in a loop", func(ctx context.Context, due []time.Time) error {
		for _, at := range due {
			if err := c.Create(ctx, at); err != nil {
				return err
			}
		}
		return nil
	}}}
}

// Preload keeps the order only roughly: its lanes run side by side.
func (c *asynqClient) Preload(ctx context.Context, due []time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(asynqLanes)
	for _, at := range due {
		group.Go(func() error { return c.Create(ctx, at) })
	}
	return group.Wait()
}

// Warm has nothing to look at: the forwarder runs from the start.
func (c *asynqClient) Warm(context.Context) (bool, error) { return true, nil }

// Idle looks at what is to be done or being done. A task that is created due is pending at
// once.
func (c *asynqClient) Idle(context.Context) (bool, error) {
	queue, err := c.inspector.GetQueueInfo(asynqQueue)
	if err != nil {
		return false, fmt.Errorf("ask asynq what is left: %w", err)
	}
	return queue.Pending+queue.Active == 0, nil
}

// Finished is asynq's own count of what it has processed.
func (c *asynqClient) Finished(context.Context) (int, error) {
	queue, err := c.inspector.GetQueueInfo(asynqQueue)
	if err != nil {
		return 0, fmt.Errorf("ask asynq what is done: %w", err)
	}
	return queue.ProcessedTotal, nil
}

// History is of scheduled tasks only: asynq forgets ended ones, unless told otherwise task
// by task.
func (c *asynqClient) History(ctx context.Context, n int) error {
	due := make([]time.Time, n)
	for i := range due {
		due[i] = time.Now().Add(30*24*time.Hour + time.Duration(i)*time.Millisecond)
	}
	return c.Preload(ctx, due)
}

// Queries has few: the inspector lists by state, and by nothing else.
func (c *asynqClient) Queries(context.Context) ([]Query, error) {
	tasks, err := c.inspector.ListScheduledTasks(asynqQueue, asynq.PageSize(1000))
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	return []Query{
		{askStatus, func(context.Context, int) error {
			page, err := c.inspector.ListScheduledTasks(asynqQueue, asynq.PageSize(pageSize))
			return errors.Join(err, notEmpty(len(page)))
		}},
		{askOne, func(_ context.Context, i int) error {
			_, err := c.inspector.GetTaskInfo(asynqQueue, tasks[i%len(tasks)].ID)
			return err
		}},
	}, nil
}
