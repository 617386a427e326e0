package work

import (
	"context"
	"time"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// within and beyond are when the tasks of a system at rest are due: inside
	// of timewheel's horizon of an hour, and outside.
	within = 55 * time.Minute
	beyond = 3 * time.Hour
)

// atRest is section e: tasks lie ahead and nothing is to be done.
func atRest(ctx context.Context, s env) error {
	if err := s.layAhead(ctx, within); err != nil {
		return err
	}
	return s.watch(ctx)
}

// farAhead is section e: what tasks cost that are due long after the horizon.
func farAhead(ctx context.Context, s env) error { return s.layAhead(ctx, beyond) }

// idle is section h: many processes with nothing to do.
func idle(ctx context.Context, s env) error {
	if err := s.openForBusiness(ctx, s.scale.Idle, systems.Rest); err != nil {
		return err
	}
	return s.watch(ctx)
}

// layAhead puts tasks in that are due in a while, and records what they take
// in each store.
func (s *environment) layAhead(ctx context.Context, in time.Duration) error {
	if err := s.openForBusiness(ctx, 1, systems.Rest); err != nil {
		return err
	}
	memory, bytes, err := s.stored(ctx)
	if err != nil {
		return err
	}
	if err := s.preload(ctx, times(s.scale.Ahead, time.Now().Add(in), time.Millisecond)); err != nil {
		return err
	}
	memoryAfter, bytesAfter, err := s.stored(ctx)
	if err != nil {
		return err
	}
	n := float64(s.scale.Ahead)
	// Clients' buffers come and go: below a byte a task there is nothing.
	s.record("Redis", "bytes a task", max(0, float64(int((memoryAfter-memory)/n))))
	s.record("Postgres", "bytes a task", (bytesAfter-bytes)/n)
	return nil
}

// stored is how many bytes each store holds.
func (s *environment) stored(ctx context.Context) (redis, postgres float64, err error) {
	if redis, err = s.RedisMemory(ctx); err != nil {
		return 0, 0, err
	}
	postgres, err = s.Bytes(ctx)
	return redis, postgres, err
}

// watch records what the system costs while it has nothing to do.
func (s *environment) watch(ctx context.Context) error {
	if err := rig.Pause(ctx, s.scale.Calm); err != nil {
		return err
	}
	before, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	spent, took, err := s.cost(ctx, func() error { return rig.Pause(ctx, s.scale.Rest) })
	if err != nil {
		return err
	}
	after, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	s.recordCPU("CPU", "% of a core", spent, 100/took.Seconds())
	s.record("Redis commands", "a second", (after.Commands-before.Commands)/took.Seconds())
	s.record("Postgres transactions", "a second", (after.Transactions-before.Transactions)/took.Seconds())
	return nil
}
