package work

import (
	"context"

	"github.com/timewheel/timewheel/bench/report"
)

// severalWorkers is section h: the same tasks, more processes.
func severalWorkers(workers, n int) measurement {
	name := plural(workers, "worker") + ", " + count(n) + " tasks"
	return measurement{section: report.Workers, name: name, run: func(ctx context.Context, s *environment) error {
		return s.execute(ctx, name, n, workers, false)
	}}
}

// idleWorkers is section h: many processes with nothing to do.
func idleWorkers(workers int) measurement {
	name := plural(workers, "idle worker")
	return measurement{section: report.Workers, name: name, run: func(ctx context.Context, s *environment) error {
		if err := s.startWorkers(ctx, workers, s.choice.rest); err != nil {
			return err
		}
		if err := s.release(ctx); err != nil {
			return err
		}
		if err := s.client.Warm(ctx); err != nil {
			return err
		}
		return s.watch(ctx, name)
	}}
}
