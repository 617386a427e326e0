package systems

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/rig"
)

// AsynqWorker is the role of asynq's server.
const AsynqWorker = "asynq-worker"

const (
	asynqQueue = "default"
	// asynqLanes is how many goroutines put tasks in when it is not measured.
	asynqLanes = 64
)

func asynqSystem() System {
	setting := func(concurrency, check, delayed string) Setting {
		return Setting{
			fmt.Sprintf("Concurrency %s, TaskCheckInterval %s, DelayedTaskCheckInterval %s", concurrency, check, delayed),
			map[string]string{"ASYNQ_CONCURRENCY": concurrency, "ASYNQ_CHECK": check, "ASYNQ_DELAYED_CHECK": delayed},
		}
	}
	return System{
		Name:       "asynq",
		WorkerRole: AsynqWorker,
		Migrate:    func(context.Context, string) error { return nil },
		Connect:    connectAsynq,
		ForRate: []Setting{
			setting("50", "1s", "5s"), setting("10", "1s", "5s"), setting("200", "1s", "5s"), setting("1000", "1s", "5s"),
			setting("50", "10ms", "5s"),
		},
		ForTime: []Setting{
			setting("200", "10ms", "100ms"), setting("200", "1s", "5s"), setting("200", "10ms", "10ms"),
		},
		AtRest: setting("10", "1s", "5s"),
	}
}

type asynqClient struct {
	rig       *rig.Rig
	redis     *redis.Client
	client    *asynq.Client
	inspector *asynq.Inspector
}

func connectAsynq(_ context.Context, r *rig.Rig) (Client, error) {
	connection, err := rig.OpenRedis(r.RedisURL, asynqLanes)
	if err != nil {
		return nil, err
	}
	return &asynqClient{
		rig: r, redis: connection,
		client:    asynq.NewClientFromRedisClient(connection),
		inspector: asynq.NewInspectorFromRedisClient(connection),
	}, nil
}

// Close closes the one connection that the client and the inspector share.
func (c *asynqClient) Close() error { return c.redis.Close() }

// Nodes has none: asynq is a library.
func (c *asynqClient) Nodes() []*rig.Process { return nil }

// Submitter shares the client, which is made for that.
func (c *asynqClient) Submitter(context.Context) (Submitter, error) {
	return asynqSubmitter{c.client}, nil
}

// asynqSubmitter shares the client, as its documentation advises.
type asynqSubmitter struct{ client *asynq.Client }

// Create enqueues one task.
func (s asynqSubmitter) Create(ctx context.Context, due time.Time) error {
	return enqueue(ctx, s.client, due)
}

// Close has nothing to close.
func (s asynqSubmitter) Close() error { return nil }

// enqueue puts the due time into the payload: nothing else tells it to the
// handler.
func enqueue(ctx context.Context, client *asynq.Client, due time.Time) error {
	task := asynq.NewTask(noop, binary.BigEndian.AppendUint64(nil, uint64(due.UnixMicro())))
	_, err := client.EnqueueContext(ctx, task, asynq.ProcessAt(due), asynq.MaxRetry(0))
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// Bulks has a loop: the library has no call for many tasks.
func (c *asynqClient) Bulks() []Bulk {
	return []Bulk{{Name: "Enqueue in a loop", Create: func(ctx context.Context, due []time.Time) error {
		for _, at := range due {
			if err := enqueue(ctx, c.client, at); err != nil {
				return err
			}
		}
		return nil
	}}}
}

// Preload keeps the order only roughly: its lanes run side by side.
func (c *asynqClient) Preload(ctx context.Context, due []time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	for lane := range asynqLanes {
		group.Go(func() error {
			for i := lane; i < len(due); i += asynqLanes {
				if err := enqueue(ctx, c.client, due[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// Warm has nothing to wait for: the forwarder runs from the start.
func (c *asynqClient) Warm(context.Context) error { return nil }

// Idle looks at the lists that hold what is to be done or being done.
func (c *asynqClient) Idle(ctx context.Context) (bool, error) {
	var pending, active, overdue *redis.IntCmd
	_, err := c.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		pending, active = p.LLen(ctx, asynqKey("pending")), p.LLen(ctx, asynqKey("active"))
		overdue = p.ZCount(ctx, asynqKey("scheduled"), "-inf", strconv.FormatInt(time.Now().Unix(), 10))
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("ask redis what is left: %w", err)
	}
	return pending.Val()+active.Val()+overdue.Val() == 0, nil
}

// Finished is asynq's own count of what it has processed.
func (c *asynqClient) Finished(ctx context.Context) (int, error) {
	n, err := c.redis.Get(ctx, asynqKey("processed")).Int()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count what is done: %w", err)
	}
	return n, nil
}

func asynqKey(name string) string { return "asynq:{" + asynqQueue + "}:" + name }

// History is of scheduled tasks only: asynq forgets ended ones, unless told
// otherwise task by task.
func (c *asynqClient) History(ctx context.Context, n int) error {
	due := make([]time.Time, n)
	for i := range due {
		due[i] = time.Now().Add(30*24*time.Hour + time.Duration(i)*time.Millisecond)
	}
	return c.Preload(ctx, due)
}

// Queries has few: the inspector lists by state, and by nothing else.
func (c *asynqClient) Queries(ctx context.Context) ([]Query, error) {
	ids, err := c.redis.ZRandMember(ctx, asynqKey("scheduled"), 1000).Result()
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	return []Query{
		{AskStatus, func(context.Context, int) error {
			page, err := c.inspector.ListScheduledTasks(asynqQueue, asynq.PageSize(pageSize))
			if err == nil && len(page) == 0 {
				err = errNothingFound
			}
			return err
		}},
		{AskOne, func(_ context.Context, i int) error {
			_, err := c.inspector.GetTaskInfo(asynqQueue, ids[i%len(ids)])
			return err
		}},
	}, nil
}

// Bytes is nothing: asynq has no Postgres.
func (c *asynqClient) Bytes(context.Context) (float64, error) { return 0, nil }
