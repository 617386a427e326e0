package work

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
)

// idlePause is between two looks at whether work is left. It bounds the error
// of a time, and must not become a load itself.
const idlePause = 5 * time.Millisecond

// executeDue is section c: n tasks are due when the workers are let go.
func executeDue(n int, shuffled bool) measurement {
	m := measurement{section: report.Execute, name: count(n) + " in due order"}
	if shuffled {
		// The ids of asynq's tasks are random as it is.
		m.name, m.not = count(n)+" in random order", "asynq"
	}
	m.run = func(ctx context.Context, s *environment) error { return s.execute(ctx, m.name, n, 1, shuffled) }
	return m
}

// execute measures how long the given number of workers take for n due tasks.
func (s *environment) execute(ctx context.Context, name string, n, workers int, shuffled bool) error {
	if err := s.startWorkers(ctx, workers, s.choice.rate); err != nil {
		return err
	}
	if err := s.client.Preload(ctx, duePast(n, shuffled)); err != nil {
		return fmt.Errorf("put tasks in: %w", err)
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	run, err := s.runToIdle(ctx, n)
	if err != nil {
		return err
	}
	s.record(name, metricRate, float64(n)/run.took.Seconds())
	s.recordCost(name, run.spent, n)
	return nil
}

// executed is what it took to work off everything.
type executed struct {
	took  time.Duration
	spent rig.Usage
}

// runToIdle lets the workers go, and stops the clock when the store says that
// nothing is left. Afterwards the store must have n more finished tasks.
func (s *environment) runToIdle(ctx context.Context, n int) (executed, error) {
	finishedBefore, err := s.client.Finished(ctx)
	if err != nil {
		return executed{}, err
	}
	before, err := s.Usage(s.nodes())
	if err != nil {
		return executed{}, err
	}
	began := time.Now()
	if err := s.release(ctx); err != nil {
		return executed{}, err
	}
	if err := s.awaitIdle(ctx, n); err != nil {
		return executed{}, err
	}
	run := executed{took: time.Since(began)}
	after, err := s.Usage(s.nodes())
	if err != nil {
		return executed{}, err
	}
	run.spent = after.Since(before)
	finished, err := s.client.Finished(ctx)
	if err != nil {
		return executed{}, err
	}
	if finished-finishedBefore != n {
		return executed{}, fmt.Errorf("%d tasks were put in, and the store has %d more finished", n, finished-finishedBefore)
	}
	return run, nil
}

// awaitIdle returns once the store says that nothing is left. It asks the store
// only when the handlers have seen all: to ask means to step over the dead
// versions of all rows that have just been changed, and that slows them down.
func (s *environment) awaitIdle(ctx context.Context, n int) error {
	for {
		seen, err := s.seen(ctx)
		if err != nil {
			return err
		}
		idle := false
		if seen >= n {
			if idle, err = s.client.Idle(ctx); err != nil {
				return err
			}
		}
		if idle {
			return nil
		}
		if err := rig.Pause(ctx, idlePause); err != nil {
			return err
		}
	}
}

// duePast are n times that have passed, apart by 10 µs, in order or in no
// order.
func duePast(n int, shuffled bool) []time.Time {
	const apart = 10 * time.Microsecond
	first := time.Now().Add(-time.Second - time.Duration(n)*apart)
	due := make([]time.Time, n)
	for i := range due {
		due[i] = first.Add(time.Duration(i) * apart)
	}
	if shuffled {
		// The same disorder for everyone, in every round.
		order := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // G404: disorder, not a secret.
		order.Shuffle(n, func(i, j int) { due[i], due[j] = due[j], due[i] })
	}
	return due
}
