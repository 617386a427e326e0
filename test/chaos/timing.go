package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// poll is the precision of what is measured here.
const poll = 10 * time.Millisecond

// deathCommand measures how long it takes from the death of a worker until
// nothing that it had is open.
func deathCommand(ctx context.Context, args []string, out io.Writer) error {
	times := 0
	s, err := parseScene("death", append([]string{"--lease", "15s"}, args...), func(f *flag.FlagSet) {
		f.IntVar(&times, "times", 5, "workers that die, one after the other")
	})
	if err != nil {
		return err
	}
	s.duration, s.slow = directedLimit, 50
	return conclude(s.play(ctx, out, func(ctx context.Context, r *rig.Rig) error {
		for i := range times {
			took, tasks, err := die(ctx, r, r.Nodes[s.rig.APIs+i%s.rig.Workers])
			if err != nil {
				return err
			}
			say(out, "death %d: %d running tasks settled after %.2f s", i+1, tasks, took.Seconds())
			if limit := s.rig.Lease + rig.Grace + 1500*time.Millisecond; took > limit {
				return fmt.Errorf("the death of a worker was settled after %s, later than %s", took, limit)
			}
		}
		return nil
	}))
}

func die(ctx context.Context, r *rig.Rig, n *rig.Node) (took time.Duration, tasks int, err error) {
	const running = `
		SELECT count(*) FROM tasks WHERE status = 'started_executing'
		AND worker_id IN (SELECT id FROM workers WHERE host LIKE '%/' || $1::text)`
	pid := strconv.Itoa(n.PID())
	until := func(enough func(int) bool) (count int, err error) {
		for {
			if err := r.DB.QueryRow(ctx, running, pid).Scan(&count); err != nil {
				return 0, fmt.Errorf("count what a worker has running: %w", err)
			}
			if enough(count) {
				return count, nil
			}
			time.Sleep(poll)
		}
	}
	if _, err := until(func(count int) bool { return count >= 5 }); err != nil {
		return 0, 0, err
	}
	if err := n.Signal(syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if tasks, err = until(func(int) bool { return true }); err != nil {
		return 0, 0, err
	}
	_, err = until(func(count int) bool { return count == 0 })
	return time.Since(start), tasks, err
}

// flushallLimit is how long the repair of Redis may take.
const flushallLimit = 10 * time.Second

// flushallCommand measures how long Redis is incomplete after FLUSHALL.
func flushallCommand(ctx context.Context, args []string, out io.Writer) (err error) {
	tasks := 0
	s, err := parseScene("flushall", append([]string{"--horizon", "1h"}, args...), func(f *flag.FlagSet) {
		f.IntVar(&tasks, "tasks", 100_000, "inside the horizon")
	})
	if err != nil {
		return err
	}
	record, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	r, err := rig.New(ctx, s.rig, record)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	_, err = r.DB.Exec(ctx, `
		INSERT INTO tasks (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'baz', due, due
		FROM (SELECT clock_timestamp() + interval '10 minutes' + n * interval '20 milliseconds' AS due
		      FROM generate_series(1, $1::int) n) drafts`, tasks)
	if err != nil {
		return fmt.Errorf("create %d tasks: %w", tasks, err)
	}
	for range 3 {
		took, err := flush(ctx, r, int64(tasks))
		if err != nil {
			return err
		}
		say(out, "%d tasks were indexed again %.2f s after FLUSHALL", tasks, took.Seconds())
		if took > flushallLimit {
			return fmt.Errorf("repairing Redis took %s, more than %s", took, flushallLimit)
		}
	}
	return nil
}

func flush(ctx context.Context, r *rig.Rig, tasks int64) (time.Duration, error) {
	if err := r.Ring.FlushAll(ctx).Err(); err != nil {
		return 0, fmt.Errorf("flush redis: %w", err)
	}
	start := time.Now()
	for {
		n, err := r.Ring.ZCard(ctx, "timewheel:{baz}:due").Result()
		if err != nil {
			return 0, fmt.Errorf("count what is indexed: %w", err)
		}
		if n >= tasks {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the repair, %d of %d are indexed: %w", n, tasks, ctx.Err())
		case <-time.After(poll):
		}
	}
}
