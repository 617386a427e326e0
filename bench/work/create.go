package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

// ahead is how far in the future created tasks are due: within timewheel's
// horizon, so that it has to index each.
const ahead = 30 * time.Minute

// createOneByOne is section a: each client waits for its answer before it
// creates the next task.
func createOneByOne(clients int) measurement {
	name := plural(clients, "client")
	return measurement{section: report.Create, name: name, run: func(ctx context.Context, s *environment) error {
		submitters := make([]systems.Submitter, clients)
		for i := range submitters {
			var err error
			if submitters[i], err = s.client.Submitter(ctx); err != nil {
				return err
			}
			defer submitters[i].Close() // The store's own count was taken.
		}
		result, err := s.createFor(ctx, clients, 1, func(ctx context.Context, client int, due []time.Time) error {
			return submitters[client].Create(ctx, due[0])
		})
		if err != nil {
			return err
		}
		s.record(name, metricRate, result.rate)
		s.record(name, milliseconds("p50"), ms(report.Quantile(result.latency, 0.5)))
		s.record(name, milliseconds("p99"), ms(report.Quantile(result.latency, 0.99)))
		s.recordCost(name, result.spent, result.tasks)
		return nil
	}}
}

// createInBulk is section b: size tasks a call. way is which of the system's
// calls is taken.
func createInBulk(clients, size, way int) measurement {
	name := fmt.Sprintf("%s a call, %s", count(size), plural(clients, "client"))
	m := measurement{section: report.Bulk, name: name}
	if way > 0 {
		m.only, m.name = "River", name+", by InsertMany"
	}
	m.run = func(ctx context.Context, s *environment) error {
		bulks := s.client.Bulks()
		if len(bulks) <= way {
			return skip("%s has no bulk create in this build", s.system.Name)
		}
		s.results.Note(fmt.Sprintf("Bulk creates of %s are %s.", s.system.Name, bulks[way].Name))
		result, err := s.createFor(ctx, clients, size, func(ctx context.Context, _ int, due []time.Time) error {
			return bulks[way].Create(ctx, due)
		})
		if err != nil {
			return err
		}
		s.record(m.name, metricRate, result.rate)
		s.recordCost(m.name, result.spent, result.tasks)
		return nil
	}
	return m
}

// created is what a stretch of creating came to.
type created struct {
	tasks   int
	rate    float64         // tasks a second
	spent   rig.Usage       // without the driver's
	latency []time.Duration // sorted
}

// createFor lets every client call create, with size due times, again and
// again for the scale's time. Calls that begin in the warm-up or end after the
// time are not counted.
func (s *environment) createFor(
	ctx context.Context, clients, size int, create func(ctx context.Context, client int, due []time.Time) error,
) (created, error) {
	warm := time.Now().Add(s.scale.Create / 10)
	end := warm.Add(s.scale.Create)
	latencies := make([][]time.Duration, clients)
	group, ctx := errgroup.WithContext(ctx)
	for client := range clients {
		group.Go(func() error {
			for {
				began := time.Now()
				if err := create(ctx, client, dueAhead(began, size)); err != nil {
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
		spent, err = s.spentBetween(ctx, warm, end)
		return err
	})
	if err := group.Wait(); err != nil {
		return created{}, err
	}
	all := slices.Concat(latencies...)
	if len(all) == 0 {
		return created{}, errors.New("not one call was completed in the time")
	}
	slices.Sort(all)
	tasks := len(all) * size
	return created{
		tasks:   tasks,
		rate:    float64(tasks) / s.scale.Create.Seconds(),
		spent:   spent,
		latency: all,
	}, nil
}

// spentBetween is the CPU time of stores and nodes from one time to another.
func (s *environment) spentBetween(ctx context.Context, from, to time.Time) (rig.Usage, error) {
	if err := pauseUntil(ctx, from); err != nil {
		return rig.Usage{}, err
	}
	before, err := s.Usage(s.nodes())
	if err != nil {
		return rig.Usage{}, err
	}
	if err := pauseUntil(ctx, to); err != nil {
		return rig.Usage{}, err
	}
	after, err := s.Usage(s.nodes())
	return after.Since(before), err
}

// dueAhead are times in the future that all differ.
func dueAhead(now time.Time, n int) []time.Time {
	due := make([]time.Time, n)
	for i := range due {
		due[i] = now.Add(ahead + time.Duration(i)*time.Microsecond)
	}
	return due
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
