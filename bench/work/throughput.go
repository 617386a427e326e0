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
	// ahead is how far in the future created tasks are due: within timewheel's horizon, so
	// that it has to index each.
	ahead = 30 * time.Minute
	// idlePause is between two looks at whether work is left. It bounds the error of a
	// time, and must not become a load itself.
	idlePause = 5 * time.Millisecond
)

// createOneByOne is section a: each client waits for its answer before it creates the next
// task.
func (s *environment) createOneByOne(clients int) {
	latency := s.create(clients, 1, func(ctx context.Context, due []time.Time) error { return s.Create(ctx, due[0]) })
	s.recordPercentiles("", latency, 50, 99)
}

// createInBulk is section b: many tasks a call. way is which of the system's calls is
// taken.
func (s *environment) createInBulk(clients, way int) {
	bulk := s.Bulks()[way]
	s.results.Note(fmt.Sprintf("Bulk creates of %s are %s.", s.system.Name, bulk.Name))
	s.create(clients, s.scale.Bulk, bulk.Create)
}

// create lets every client call, with size due times that all differ, again and again for
// the scale's time, records the rate and returns how long the calls took. Calls that begin
// in the warm-up or end after the time are not counted.
func (s *environment) create(clients, size int, call func(ctx context.Context, due []time.Time) error) []time.Duration {
	warm := time.Now().Add(s.scale.Create / 10)
	end := warm.Add(s.scale.Create)
	latencies := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(s.ctx)
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
	s.pauseUntil(warm)
	spent, _ := s.costOf(func() { s.pauseUntil(end) })
	s.err = errors.Join(s.err, group.Wait())
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		s.err = errors.Join(s.err, errors.New("not one call was completed in the time"))
	}
	s.recordRate(len(all)*size, s.scale.Create, spent)
	return all
}

// execute is section c: n tasks are due when the workers are let go. The clock stops when
// the store says that nothing is left. Afterwards the store must have n more finished
// tasks.
func (s *environment) execute(n, workers int, shuffled bool) {
	s.startWorkers(workers, systems.Rate)
	const apart = 10 * time.Microsecond
	due := times(n, time.Now().Add(-time.Second-time.Duration(n)*apart), apart)
	if shuffled {
		// The same disorder for everyone, in every round.
		order := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // G115: it is not negative.
		order.Shuffle(n, func(i, j int) { due[i], due[j] = due[j], due[i] })
	}
	s.preload(due)
	s.do(s.Settle)
	before := get(s, s.Finished)
	spent, took := s.costOf(func() {
		s.do(s.release)
		s.until(idlePause, func() (bool, error) { return s.allDone(n) })
	})
	if finished := get(s, s.Finished) - before; s.err == nil && finished != n {
		s.err = fmt.Errorf("%d tasks were put in, and the store has %d more finished", n, finished)
	}
	s.recordRate(n, took, spent)
}

// allDone asks the store whether nothing is left, but only when the handlers have seen all:
// to ask means to step over the dead versions of all rows that have just been changed, and
// that slows them down.
func (s *environment) allDone(n int) (bool, error) {
	if seen, err := s.seen(); seen < n || err != nil {
		return false, err
	}
	return s.Idle(s.ctx)
}

// times are n times from the first on.
func times(n int, first time.Time, apart time.Duration) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		times[i] = first.Add(time.Duration(i) * apart)
	}
	return times
}

func (s *environment) pauseUntil(at time.Time) {
	s.do(func(ctx context.Context) error { return rig.Pause(ctx, time.Until(at)) })
}
