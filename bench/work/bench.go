package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

// measurePatience bounds one measurement of one system.
const measurePatience = 15 * time.Minute

// Options are what a run is asked to do.
type Options struct {
	Scale Scale
	// Sections are the letters of those to measure; empty means all.
	Sections string
	Rounds   int
	// Systems are the names of the systems; timewheel is among them.
	Systems []string
	// Sweep tries the settings first, and takes the best of each.
	Sweep bool
	// Command is how the run was asked for, for the report.
	Command string
	// Out is where progress goes.
	Out io.Writer
}

// bench is one run.
type bench struct {
	Options
	*rig.Rig
	systems []systems.System // the first setting for each purpose is the one to take
	results *report.Results
}

// begin brings up the stores of a run, with these settings of Postgres.
func begin(ctx context.Context, o Options, settings map[string]string) (b *bench, err error) {
	b = &bench{Options: o, results: &report.Results{Began: time.Now(), Command: o.Command, Rounds: o.Rounds}}
	for _, system := range systems.All() {
		if slices.ContainsFunc(o.Systems, func(name string) bool { return strings.EqualFold(name, system.Name) }) {
			b.systems = append(b.systems, system)
			b.results.Systems = append(b.results.Systems, system.Name)
		}
	}
	b.Rig, err = rig.Start(ctx, o.Out, settings)
	return b, err
}

// Run measures, round by round and in each round one system after the other. What fails is
// noted in the results and does not end the run; the error is for what made a run
// impossible, or ctx's. The results are there in any case.
func Run(ctx context.Context, o Options) (results *report.Results, err error) {
	b, err := begin(ctx, o, nil)
	if err != nil {
		return b.results, err
	}
	defer func() {
		b.results.Took = time.Since(b.results.Began)
		err = errors.Join(err, b.Close())
	}()
	if err := b.describeMachine(ctx); err != nil {
		return b.results, err
	}
	if o.Sweep {
		if err := b.sweep(ctx); err != nil {
			return b.results, err
		}
	}
	plan := b.plan()
	for i, m := range plan {
		for round := range o.Rounds {
			for _, system := range b.systems {
				what := fmt.Sprintf("[%d/%d] %s, %s, round %d: %s", i+1, len(plan), m.section, m.name, round+1, system.Name)
				if !m.concerns(system.Name) {
					continue
				}
				b.attempt(ctx, what, m, system, b.results)
				if ctx.Err() != nil {
					return b.results, ctx.Err()
				}
			}
		}
	}
	return b.results, nil
}

// attempt measures, says so, and notes a failure.
func (b *bench) attempt(ctx context.Context, what string, m measurement, system systems.System, results *report.Results) {
	began := time.Now()
	err := b.measure(ctx, m, system, results)
	outcome := cmp.Or(results.Latest(m.section, m.name, system.Name), "done")
	if err != nil {
		outcome = "failed: " + err.Error()
		b.results.Failures = append(b.results.Failures, fmt.Sprintf("%s, %s, %s: %v", m.section, m.name, system.Name, err))
	}
	fmt.Fprintf(b.Out, "%s: %s (%s)\n", what, outcome, time.Since(began).Round(100*time.Millisecond))
}

// measure gives one system fresh stores and one kind of work.
func (b *bench) measure(ctx context.Context, m measurement, system systems.System, results *report.Results) error {
	ctx, cancel := context.WithTimeout(ctx, measurePatience)
	defer cancel()
	s := &environment{
		ctx: ctx, Rig: b.Rig, system: system, scale: b.Scale, section: m.section, name: m.name, results: results,
	}
	s.do(s.enter)
	if s.err == nil {
		m.run(s)
	}
	return errors.Join(s.err, s.leave())
}

// describeMachine says what the figures are taken on.
func (b *bench) describeMachine(ctx context.Context) error {
	m := &b.results.Machine
	figures, err := b.Figures(ctx)
	if err != nil {
		return err
	}
	m.CPUs, m.CPU, m.Go = runtime.NumCPU(), "unknown", runtime.Version()
	m.Postgres, m.Redis = figures.PostgresVersion, figures.RedisVersion
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return fmt.Errorf("open /proc: %w", err)
	}
	load, err := proc.LoadAvg()
	cpus, cpuErr := proc.CPUInfo()
	if err := errors.Join(err, cpuErr); err != nil {
		return fmt.Errorf("read what the machine is: %w", err)
	}
	m.Load = load.Load1
	if len(cpus) > 0 && cpus[0].ModelName != "" {
		m.CPU = cpus[0].ModelName
	}
	// The rivals' versions are those that this program was built with.
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if strings.HasSuffix(module.Path, "/asynq") || strings.HasSuffix(module.Path, "/river") {
				b.results.Versions = append(b.results.Versions, module.Path+" "+module.Version)
			}
		}
	}
	return nil
}

// sweep tries every setting of every system, as often as everything else is measured, and
// chooses the best of each for what follows.
func (b *bench) sweep(ctx context.Context) error {
	for _, system := range b.systems {
		err := b.try(ctx, system, systems.Rate, report.Rate, func(s env) { s.execute(s.scale.SweepExecute, 1, false) })
		if err != nil {
			return err
		}
		// Whether tasks ran early it does not look at: that the tables show.
		err = b.try(ctx, system, systems.Lateness, "p99", func(s env) { s.uniform(500, s.scale.SweepSpan) })
		if err != nil {
			return err
		}
	}
	return nil
}

// try tries the settings for a purpose in turns and chooses by the median of a metric. A
// setting that fails once is not chosen. Figures and memory are kept apart from those of
// the work.
func (b *bench) try(ctx context.Context, system systems.System, purpose systems.Purpose, metric string, run func(env)) error {
	settings := slices.Clone(system.Settings[purpose])
	scratch := report.Results{Systems: []string{system.Name}}
	for range b.Rounds {
		for _, setting := range settings {
			system.Settings[purpose][0] = setting
			m := measurement{section: "sweep", name: setting.Label(), run: run}
			b.attempt(ctx, fmt.Sprintf("sweep, %s, %s, %s", system.Name, purpose, m.name), m, system, &scratch)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	var best *report.Trial
	for _, setting := range settings {
		series := scratch.Find("sweep", setting.Label(), system.Name, metric)
		if series == nil || len(series.Values) < b.Rounds {
			continue
		}
		series.Metric.Name = string(purpose)
		trial := &report.Trial{Series: series, Purpose: string(purpose)}
		b.results.Trials = append(b.results.Trials, trial)
		if best != nil {
			if ratio, ok := report.Ratio(series, best.Series); !ok || ratio <= 1 {
				continue
			}
		}
		best = trial
		system.Settings[purpose][0] = setting
	}
	if best == nil {
		return fmt.Errorf("no setting of %s works", system.Name)
	}
	best.Chosen = true
	return nil
}
