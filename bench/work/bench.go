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

// bench is one run.
type bench struct {
	Options
	rig     *rig.Rig
	systems []systems.System
	choices map[string]choice // by the system's name
	results *report.Results
}

// choice is how a system's workers are configured.
type choice map[systems.Purpose]systems.Setting

// begin brings up the stores for a run, with these settings of Postgres, and
// makes every system's schema. The caller closes the rig, if there is one.
func begin(ctx context.Context, o Options, settings map[string]string) (*bench, error) {
	b := &bench{Options: o, choices: map[string]choice{}}
	b.results = &report.Results{Began: time.Now(), Command: o.Command, Rounds: o.Rounds}
	var err error
	if b.rig, err = rig.Start(ctx, o.Out, settings); err != nil {
		return b, err
	}
	for _, system := range systems.All() {
		if !slices.ContainsFunc(o.Systems, func(name string) bool { return strings.EqualFold(name, system.Name) }) {
			continue
		}
		b.systems = append(b.systems, system)
		b.results.Systems = append(b.results.Systems, system.Name)
		b.choices[system.Name] = choice{}
		for purpose, settings := range system.Settings {
			b.choices[system.Name][purpose] = settings[0]
		}
		if err := b.rig.Template(ctx, template(system), system.Migrate); err != nil {
			return b, err
		}
	}
	return b, nil
}

// template is the name of the database that holds the system's schema.
func template(system systems.System) string { return "template_" + strings.ToLower(system.Name) }

// Run measures, round by round and in each round one system after the other.
// What fails is noted in the results and does not end the run; the error is for
// what made a run impossible, or ctx's. The results are there in any case.
func Run(ctx context.Context, o Options) (results *report.Results, err error) {
	b, err := begin(ctx, o, nil)
	defer func() {
		b.results.Took = time.Since(b.results.Began)
		if b.rig != nil {
			err = errors.Join(err, b.rig.Close())
		}
	}()
	if err == nil {
		err = b.describeMachine(ctx)
	}
	if err == nil && o.Sweep {
		err = b.sweep(ctx)
	}
	if err == nil {
		err = b.measureAll(ctx)
	}
	return b.results, err
}

func (b *bench) measureAll(ctx context.Context) error {
	type turn struct {
		measurement
		round  int
		system systems.System
	}
	var turns []turn
	for _, m := range b.plan() {
		for round := range b.Rounds {
			for _, system := range b.systems {
				if m.concerns(system.Name) {
					turns = append(turns, turn{m, round + 1, system})
				}
			}
		}
	}
	for i, t := range turns {
		began := time.Now()
		err := b.measure(ctx, t.measurement, t.system, b.results)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		outcome := b.latest(t.measurement, t.system)
		if err != nil {
			outcome = "failed: " + err.Error()
			b.results.Failures = append(b.results.Failures, fmt.Sprintf("%s, %s, %s: %v", t.section, t.name, t.system.Name, err))
		}
		fmt.Fprintf(b.Out, "[%d/%d] %s, %s, round %d: %s: %s (%s)\n", i+1, len(turns), t.section, t.name, t.round, t.system.Name,
			outcome, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

// measure gives one system fresh stores and one kind of work.
func (b *bench) measure(ctx context.Context, m measurement, system systems.System, results *report.Results) (err error) {
	ctx, cancel := context.WithTimeout(ctx, measurePatience)
	defer cancel()
	if err := b.rig.Fresh(ctx, template(system)); err != nil {
		return err
	}
	client, err := system.Connect(ctx, b.rig)
	if err != nil {
		return err
	}
	s := &environment{
		Rig: b.rig, Client: client, system: system, choice: b.choices[system.Name], scale: b.Scale,
		section: m.section, name: m.name, results: results,
	}
	defer func() { err = errors.Join(err, s.leave()) }()
	return m.run(ctx, s)
}

// latest is the newest value of a measurement's first metric.
func (b *bench) latest(m measurement, system systems.System) string {
	for _, series := range b.results.Series {
		if series.Section == m.section && strings.HasPrefix(series.Case, m.name) && series.System == system.Name {
			return fmt.Sprintf("%s %s %s", series.Metric.Name, report.Number(series.Values[len(series.Values)-1]), series.Metric.Unit)
		}
	}
	return "done"
}
