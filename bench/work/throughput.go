package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// ahead is how far in the future created tasks are due: within timewheel's
	// horizon, so that it has to index each.
	ahead = 30 * time.Minute
	// idlePause is between two looks at whether work is left. It bounds the error
	// of a time, and must not become a load itself.
	idlePause = 5 * time.Millisecond
)

// createOneByOne is section a: each client waits for its answer before it
// creates the next task.
func (s *environment) createOneByOne(ctx context.Context, clients int) error {
	latency, err := s.create(ctx, clients, 1, func(ctx context.Context, due []time.Time) error { return s.Create(ctx, due[0]) })
	if err == nil {
		s.recordPercentiles("", latency, 50, 99)
	}
	return err
}

// createInBulk is section b: many tasks a call. way is which of the system's
// calls is taken.
func (s *environment) createInBulk(ctx context.Context, clients, way int) error {
	bulk := s.Bulks()[way]
	s.results.Note(fmt.Sprintf("Bulk creates of %s are %s.", s.system.Name, bulk.Name))
	_, err := s.create(ctx, clients, s.scale.Bulk, bulk.Create)
	return err
}

// create lets every client call, with size due times that all differ, again and
// again for the scale's time, records the rate and returns how long the calls
// took. Calls that begin in the warm-up or end after the time are not counted.
func (s *environment) create(
	ctx context.Context, clients, size int, call func(ctx context.Context, due []time.Time) error,
) ([]time.Duration, error) {
	warm := time.Now().Add(s.scale.Create / 10)
	end := warm.Add(s.scale.Create)
	latencies := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range clients {
		group.Go(func() error {
			for {
				began := time.Now()
				if err := call(ctx, times(size, began.Add(ahead), time.Microsecond)); err != nil {
					return fmt.Errorf("client %d: %w", client, err)
				}
				ended := time.Now()
				if ended.After(end) {
					return nil
				}
				if began.After(warm) {
					latencies[client] = append(latencies[client], ended.Sub(began))
				}
			}
		})
	}
	var spent rig.Usage
	group.Go(func() (err error) {
		if err := pauseUntil(ctx, warm); err != nil {
			return err
		}
		spent, _, err = s.cost(ctx, func() error { return pauseUntil(ctx, end) })
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return nil, errors.New("not one call was completed in the time")
	}
	s.recordRate(len(all)*size, s.scale.Create, spent)
	return all, nil
}

// execute is section c: n tasks are due when the workers are let go. The clock
// stops when the store says that nothing is left. Afterwards the store must
// have n more finished tasks.
func (s *environment) execute(ctx context.Context, n, workers int, shuffled bool) error {
	if err := s.startWorkers(ctx, workers, systems.Rate); err != nil {
		return err
	}
	const apart = 10 * time.Microsecond
	due := times(n, time.Now().Add(-time.Second-time.Duration(n)*apart), apart)
	if shuffled {
		// The same disorder for everyone, in every round.
		order := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // G115: it is not negative.
		order.Shuffle(n, func(i, j int) { due[i], due[j] = due[j], due[i] })
	}
	if err := s.preload(ctx, due); err != nil {
		return err
	}
	before, err := s.Finished(ctx)
	if err != nil {
		return err
	}
	spent, took, err := s.cost(ctx, func() error {
		if err := s.release(); err != nil {
			return err
		}
		return s.awaitIdle(ctx, n)
	})
	if err != nil {
		return err
	}
	finished, err := s.Finished(ctx)
	if err != nil {
		return err
	}
	if finished-before != n {
		return fmt.Errorf("%d tasks were put in, and the store has %d more finished", n, finished-before)
	}
	s.recordRate(n, took, spent)
	return nil
}

// awaitIdle returns once the store says that nothing is left. It asks the store
// only when the handlers have seen all: to ask means to step over the dead
// versions of all rows that have just been changed, and that slows them down.
func (s *environment) awaitIdle(ctx context.Context, n int) error {
	return rig.Until(ctx, idlePause, func() (bool, error) {
		if seen, err := s.seen(); seen < n || err != nil {
			return false, err
		}
		return s.Idle(ctx)
	})
}

// times are n times from the first on.
func times(n int, first time.Time, apart time.Duration) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		times[i] = first.Add(time.Duration(i) * apart)
	}
	return times
}

func pauseUntil(ctx context.Context, at time.Time) error { return rig.Pause(ctx, time.Until(at)) }
