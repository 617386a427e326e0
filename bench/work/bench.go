package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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

// Bench is one run.
type Bench struct {
	rig     *rig.Rig
	scale   Scale
	systems []systems.System
	choices map[string]choice
	results *report.Results
	out     io.Writer
}

// measurement is one kind of work in one size.
type measurement struct {
	section, name string
	// only and not are the name of the one system that takes part, or does not.
	only, not string
	run       func(ctx context.Context, s *environment) error
}

func (m measurement) concerns(system string) bool {
	return (m.only == "" || m.only == system) && m.not != system
}

// Run measures, round by round and in each round one system after the other.
// What fails is noted in the results and does not end the run; the error is for
// what made a run impossible, or ctx's. The results is there in any case.
func Run(ctx context.Context, o Options) (results *report.Results, err error) {
	b := &Bench{scale: o.Scale, choices: map[string]choice{}, out: o.Out}
	b.results = &report.Results{Began: time.Now(), Command: o.Command, Rounds: o.Rounds}
	for _, system := range systems.All() {
		if slices.ContainsFunc(o.Systems, func(name string) bool { return strings.EqualFold(name, system.Name) }) {
			b.systems = append(b.systems, system)
			b.results.Systems = append(b.results.Systems, system.Name)
			b.choices[system.Name] = choice{system.ForRate[0], system.ForTime[0], system.AtRest}
		}
	}
	defer func() { b.results.Took = time.Since(b.results.Began) }()
	if b.rig, err = rig.Start(ctx, o.Out, false); err != nil {
		return b.results, err
	}
	defer func() { err = errors.Join(err, b.rig.Close()) }()
	if err := b.prepare(ctx); err != nil {
		return b.results, err
	}
	if o.Sweep {
		if err := b.sweep(ctx); err != nil {
			return b.results, err
		}
	}
	return b.results, b.measureAll(ctx, b.plan(o.Sections), o.Rounds)
}

// prepare describes the machine and makes every system's schema.
func (b *Bench) prepare(ctx context.Context) (err error) {
	if b.results.Machine, err = describeMachine(ctx, b.rig); err != nil {
		return err
	}
	b.results.Versions = rivalVersions()
	for _, system := range b.systems {
		if err := b.rig.Template(ctx, system.Name, system.Migrate); err != nil {
			return err
		}
	}
	return nil
}

// plan lists the measurements of the sections, in their order.
func (b *Bench) plan(sections string) []measurement {
	var all []measurement
	for _, clients := range b.scale.Clients {
		all = append(all, createOneByOne(clients))
	}
	for _, clients := range b.scale.BulkClients {
		all = append(all, createInBulk(clients, b.scale.Bulk, 0), createInBulk(clients, b.scale.Bulk, 1))
	}
	for _, n := range b.scale.Execute {
		all = append(all, executeDue(n, false), executeDue(n, true))
	}
	for _, rate := range b.scale.Rates {
		all = append(all, uniform(rate, b.scale.Span))
	}
	all = append(all, burst(b.scale.Burst), live(b.scale.Live, b.scale.Span),
		atRest(b.scale.Ahead), farAhead(b.scale.Ahead), readRows(b.scale.Rows))
	for _, n := range b.scale.Growth {
		all = append(all, growth(n))
	}
	for _, workers := range b.scale.Workers {
		all = append(all, severalWorkers(workers, b.scale.Execute[0]))
	}
	all = append(all, idleWorkers(b.scale.Idle))
	return slices.DeleteFunc(all, func(m measurement) bool {
		return sections != "" && !strings.Contains(sections, m.section[:1])
	})
}

func (b *Bench) measureAll(ctx context.Context, plan []measurement, rounds int) error {
	total := 0
	for _, m := range plan {
		for _, system := range b.systems {
			if m.concerns(system.Name) {
				total += rounds
			}
		}
	}
	progress := newProgress(b.out, total)
	defer progress.finish()
	for _, m := range plan {
		for round := range rounds {
			for _, system := range b.systems {
				if !m.concerns(system.Name) {
					continue
				}
				progress.begin(fmt.Sprintf("%s, %s, round %d: %s", m.section, m.name, round+1, system.Name))
				err := b.measure(ctx, m, system)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				progress.end(b.settle(m, system, err))
			}
		}
	}
	return nil
}

// measure gives one system fresh stores and one kind of work.
func (b *Bench) measure(ctx context.Context, m measurement, system systems.System) (err error) {
	ctx, cancel := context.WithTimeout(ctx, measurePatience)
	defer cancel()
	s, err := b.enter(ctx, m.section, system)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.leave()) }()
	return m.run(ctx, s)
}

// settle keeps what became of a measurement, and words it.
func (b *Bench) settle(m measurement, system systems.System, err error) string {
	var skipped *skippedError
	switch {
	case errors.As(err, &skipped):
		b.results.Note(fmt.Sprintf("Skipped %s, %s: %s.", m.section, m.name, skipped.why))
		return "skipped: " + skipped.why
	case err != nil:
		b.results.Failures = append(b.results.Failures, fmt.Sprintf("%s, %s, %s: %v", m.section, m.name, system.Name, err))
		return "failed: " + err.Error()
	}
	return b.latest(m, system)
}

// latest is the newest value of a measurement's first metric.
func (b *Bench) latest(m measurement, system systems.System) string {
	for _, series := range b.results.Series {
		if series.Section == m.section && strings.HasPrefix(series.Case, m.name) && series.System == system.Name {
			return fmt.Sprintf("%s %s %s", series.Metric.Name, report.Number(series.Values[len(series.Values)-1]), series.Metric.Unit)
		}
	}
	return "done"
}
