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
	"github.com/timewheel/timewheel/bench/witness"
)

// environment is one system on fresh stores, for one measurement.
type environment struct {
	*rig.Rig
	systems.Client
	system systems.System
	choice choice
	scale  Scale
	// section and name are what is recorded, where results are kept.
	section, name string
	results       *report.Results

	workers   []*rig.Process
	witnesses []witness.Remote
}

// leave notes what memory the processes took, and ends them.
func (s *environment) leave() error {
	var err error
	for _, node := range s.nodes() {
		peak, peakErr := node.PeakMemory()
		if peakErr == nil {
			s.results.RecordPeak(s.section, node.Role, peak)
		}
		err = errors.Join(err, peakErr)
	}
	for _, remote := range s.witnesses {
		err = errors.Join(err, remote.Close())
	}
	// All at the same time: each may have to wait for something.
	var group errgroup.Group
	for _, worker := range s.workers {
		group.Go(worker.Stop)
	}
	return errors.Join(err, group.Wait(), s.Client.Close())
}

func (s *environment) nodes() []*rig.Process { return append(s.Nodes(), s.workers...) }

// startWorkers starts n worker processes, which wait to be released.
func (s *environment) startWorkers(ctx context.Context, n int, purpose systems.Purpose) error {
	for range n {
		worker, err := s.Spawn(ctx, s.system.WorkerRole(), witness.Announced, s.choice[purpose]...)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, worker)
		remote, err := witness.Dial(worker.Address)
		if err != nil {
			return err
		}
		s.witnesses = append(s.witnesses, remote)
	}
	return nil
}

// release lets all workers go.
func (s *environment) release() error {
	for _, remote := range s.witnesses {
		if err := remote.Release(); err != nil {
			return err
		}
	}
	return nil
}

// warmPause is between two looks at what a worker begins with.
const warmPause = 10 * time.Millisecond

// openForBusiness starts n workers that wait for tasks to fall due.
func (s *environment) openForBusiness(ctx context.Context, n int, purpose systems.Purpose) error {
	if err := s.startWorkers(ctx, n, purpose); err != nil {
		return err
	}
	if err := s.release(); err != nil {
		return err
	}
	return rig.Until(ctx, warmPause, func() (bool, error) { return s.Warm(ctx) })
}

// seen is how many tasks the handlers of all workers have seen.
func (s *environment) seen() (int, error) {
	total := 0
	for _, remote := range s.witnesses {
		seen, err := remote.Seen()
		if err != nil {
			return 0, err
		}
		total += seen
	}
	return total, nil
}

// preload puts tasks in and brings the stores to rest.
func (s *environment) preload(ctx context.Context, due []time.Time) error {
	if err := s.Preload(ctx, due); err != nil {
		return fmt.Errorf("put tasks in: %w", err)
	}
	return s.Settle(ctx)
}

// cost is what do takes: CPU time, without the driver's, and time by the clock.
// The stores' own statistics of it are kept for a profile.
func (s *environment) cost(ctx context.Context, do func() error) (spent rig.Usage, took time.Duration, err error) {
	if s.Profile != "" {
		if err := s.ResetStatistics(ctx); err != nil {
			return spent, 0, err
		}
	}
	before, err := s.Usage(s.nodes())
	if err != nil {
		return spent, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return spent, 0, err
	}
	took = time.Since(began)
	after, err := s.Usage(s.nodes())
	return after.Since(before), took, err
}

// record keeps one value of the case.
func (s *environment) record(metric, unit string, value float64) {
	better := report.Lower
	if metric == report.Rate {
		better = report.Higher
	}
	s.results.Record(s.section, s.name, s.system.Name, report.Metric{Name: metric, Unit: unit, Better: better}, value)
}

// recordCPU keeps CPU time, in all and of what part, as so much a second of it.
func (s *environment) recordCPU(total, unit string, spent rig.Usage, scale float64) {
	s.record(total, unit, spent.Total().Seconds()*scale)
	s.record("CPU of its processes", unit, spent.Nodes.Seconds()*scale)
	s.record("CPU of Redis", unit, spent.Redis.Seconds()*scale)
	s.record("CPU of Postgres", unit, spent.Postgres.Seconds()*scale)
}

// recordRate keeps how fast n tasks were worked off, and what each has cost.
func (s *environment) recordRate(n int, took time.Duration, spent rig.Usage) {
	s.record(report.Rate, "tasks/s", float64(n)/took.Seconds())
	s.recordCPU("CPU of everything but the client", "µs a task", spent, 1e6/float64(n))
}

// recordPercentiles keeps percentiles of times, which it sorts.
func (s *environment) recordPercentiles(prefix string, times []time.Duration, percents ...int) {
	slices.Sort(times)
	for _, percent := range percents {
		s.record(fmt.Sprintf("%sp%d", prefix, percent), "ms", ms(report.Quantile(times, float64(percent)/100)))
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
