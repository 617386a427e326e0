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

// warmPause is between two looks at what a worker begins with.
const warmPause = 10 * time.Millisecond

// environment is one system on fresh stores, for one measurement, which is a list of steps.
// Once a step has failed, the others do nothing.
type environment struct {
	ctx context.Context // that of the measurement
	err error           // of the step that failed

	*rig.Rig
	systems.Client
	system systems.System
	scale  Scale
	// processes are all of the system's, workers those with a witness.
	processes, workers []*rig.Process

	// section and name are what is recorded, where results are kept.
	section, name string
	results       *report.Results
}

// do carries out a step.
func (s *environment) do(step func(ctx context.Context) error) {
	if s.err == nil {
		s.err = step(s.ctx)
	}
}

// get carries out a step that has a result.
func get[T any](s *environment, step func(ctx context.Context) (T, error)) (result T) {
	if s.err == nil {
		result, s.err = step(s.ctx)
	}
	return result
}

// enter brings the system up.
func (s *environment) enter(ctx context.Context) (err error) {
	if err := s.Fresh(ctx, s.system.Migrate); err != nil {
		return err
	}
	address := ""
	if s.system.API != "" {
		api, err := s.Spawn(ctx, s.system.API)
		if err != nil {
			return err
		}
		s.processes, address = append(s.processes, api), api.Address
	}
	s.Client, err = s.system.Connect(ctx, s.Rig, address)
	return err
}

// leave notes what memory the processes took, and ends them at the same time: each may have
// to wait for something.
func (s *environment) leave() (err error) {
	var group errgroup.Group
	for _, process := range s.processes {
		peak, peakErr := process.PeakMemory()
		err = errors.Join(err, peakErr)
		s.results.RecordPeak(s.section, process.Role, peak)
		group.Go(process.Stop)
	}
	err = errors.Join(err, group.Wait())
	if s.Client != nil {
		err = errors.Join(err, s.Client.Close())
	}
	return err
}

// startWorkers starts n worker processes, which wait to be released.
func (s *environment) startWorkers(n int, purpose systems.Purpose) {
	for range n {
		s.do(func(ctx context.Context) error {
			worker, err := s.Spawn(ctx, s.system.WorkerRole(), s.system.Settings[purpose][0]...)
			if err == nil {
				s.processes, s.workers = append(s.processes, worker), append(s.workers, worker)
			}
			return err
		})
	}
}

// release lets all workers go.
func (s *environment) release(context.Context) (err error) {
	for _, worker := range s.workers {
		err = errors.Join(err, worker.Ask(rig.Release, new(bool)))
	}
	return err
}

// seen is how many tasks the handlers of all workers have seen.
func (s *environment) seen() (total int, err error) {
	for _, worker := range s.workers {
		var seen int
		err = errors.Join(err, worker.Ask(rig.Seen, &seen))
		total += seen
	}
	return total, err
}

// openForBusiness starts n workers that wait for tasks to fall due.
func (s *environment) openForBusiness(n int, purpose systems.Purpose) {
	s.startWorkers(n, purpose)
	s.do(s.release)
	s.until(warmPause, func() (bool, error) { return s.Warm(s.ctx) })
}

// until waits until something is so.
func (s *environment) until(pause time.Duration, so func() (bool, error)) {
	s.do(func(ctx context.Context) error { return rig.Until(ctx, pause, so) })
}

// preload puts tasks in.
func (s *environment) preload(due []time.Time) {
	s.do(func(ctx context.Context) error { return s.Preload(ctx, due) })
}

// costOf is what steps take: CPU time, without the driver's, and time by the clock. For a
// profile, the stores' own statistics begin there.
func (s *environment) costOf(steps func()) (spent rig.Usage, took time.Duration) {
	usage := func(context.Context) (rig.Usage, error) { return s.Usage(s.processes) }
	if s.Profile != "" {
		s.do(s.ResetStatistics)
	}
	before := get(s, usage)
	began := time.Now()
	steps()
	took = time.Since(began)
	return get(s, usage).Since(before), took
}

// record keeps one value of the case.
func (s *environment) record(metric, unit string, value float64) {
	if s.err != nil {
		return
	}
	better := report.Lower
	if metric == report.Rate {
		better = report.Higher
	}
	s.results.Record(s.section, s.name, s.system.Name, report.Metric{Name: metric, Unit: unit, Better: better}, value)
}

// recordCPU keeps CPU time, in all and of what part; scale is what a second of it comes to
// in this unit.
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
