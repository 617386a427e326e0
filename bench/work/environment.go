package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
	"github.com/timewheel/timewheel/bench/witness"
)

// choice is how a system's workers are configured for each kind of work.
type choice struct{ rate, time, rest systems.Setting }

// environment is one system on fresh stores, for one measurement.
type environment struct {
	*rig.Rig
	system  systems.System
	client  systems.Client
	choice  choice
	scale   Scale
	workers []*rig.Process

	section string
	results *report.Results
}

// enter brings a system up on fresh stores.
func (b *Bench) enter(ctx context.Context, section string, system systems.System) (*environment, error) {
	if err := b.rig.Fresh(ctx, system.Name); err != nil {
		return nil, err
	}
	client, err := system.Connect(ctx, b.rig)
	if err != nil {
		return nil, err
	}
	return &environment{
		Rig: b.rig, system: system, client: client, choice: b.choices[system.Name], scale: b.scale,
		section: section, results: b.results,
	}, nil
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
	err = errors.Join(err, s.stopWorkers(), s.client.Close())
	witness.Forget()
	return err
}

func (s *environment) nodes() []*rig.Process { return append(s.client.Nodes(), s.workers...) }

// startWorkers starts n worker processes, which wait to be released.
func (s *environment) startWorkers(ctx context.Context, n int, setting systems.Setting) error {
	for range n {
		worker, err := s.SpawnRole(ctx, s.system.WorkerRole, setting.Env)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, worker)
	}
	return nil
}

// stopWorkers stops all at the same time: each may have to wait for something.
func (s *environment) stopWorkers() error {
	var group errgroup.Group
	for _, worker := range s.workers {
		group.Go(worker.Stop)
	}
	s.workers = nil
	return group.Wait()
}

func (s *environment) remotes() []witness.Remote {
	remotes := make([]witness.Remote, len(s.workers))
	for i, worker := range s.workers {
		remotes[i] = witness.Remote{Address: worker.Address}
	}
	return remotes
}

// release lets all workers go.
func (s *environment) release(ctx context.Context) error {
	for _, remote := range s.remotes() {
		if err := remote.Release(ctx); err != nil {
			return err
		}
	}
	return nil
}

// seen is how many tasks the handlers of all workers have seen.
func (s *environment) seen(ctx context.Context) (int, error) {
	total := 0
	for _, remote := range s.remotes() {
		seen, err := remote.Seen(ctx)
		if err != nil {
			return 0, err
		}
		total += seen
	}
	return total, nil
}

// record keeps one value of a case.
func (s *environment) record(name string, metric report.Metric, value float64) {
	s.results.Record(s.section, name, s.system.Name, metric, value)
}

// recordCost keeps what CPU time each of n tasks took, and of what part.
func (s *environment) recordCost(name string, spent rig.Usage, n int) {
	for _, part := range []struct {
		of    string
		spent time.Duration
	}{
		{"CPU of everything but the client", spent.Total()},
		{"CPU of its processes", spent.Nodes},
		{"CPU of Redis", spent.Redis},
		{"CPU of Postgres", spent.Postgres},
	} {
		metric := report.Metric{Name: part.of, Unit: "µs a task", Better: report.Lower}
		s.record(name, metric, float64(part.spent.Microseconds())/float64(n))
	}
}

// count writes a number for people.
func count(n int) string { return report.Number(float64(n)) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// metricRate is what several kinds of work come to.
var metricRate = report.Metric{Name: report.Rate, Unit: "tasks/s", Better: report.Higher}

func milliseconds(name string) report.Metric {
	return report.Metric{Name: name, Unit: "ms", Better: report.Lower}
}

// skippedError marks a measurement that a system cannot take part in.
type skippedError struct{ why string }

func (e *skippedError) Error() string { return e.why }

func skip(format string, arguments ...any) error {
	return &skippedError{fmt.Sprintf(format, arguments...)}
}
