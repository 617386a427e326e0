package work

import (
	"context"
	"fmt"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/systems"
)

// sweep tries every setting of every system, as often as everything else is
// measured, and chooses the best of each for what follows.
func (b *bench) sweep(ctx context.Context) error {
	execute := func(ctx context.Context, s env) error { return s.execute(ctx, b.Scale.SweepExecute, 1, false) }
	// Whether tasks ran early it does not look at: that the tables show.
	punctual := func(ctx context.Context, s env) error { return s.uniform(ctx, 500, b.Scale.SweepSpan) }
	for _, system := range b.systems {
		if err := b.try(ctx, system, systems.Rate, report.Rate, execute); err != nil {
			return err
		}
		if err := b.try(ctx, system, systems.Lateness, "p99", punctual); err != nil {
			return err
		}
	}
	return nil
}

// try tries the settings for a purpose in turns and chooses by the median of a
// metric. A setting that fails once is not chosen. Figures and memory are kept
// apart from those of the work.
func (b *bench) try(
	ctx context.Context, system systems.System, purpose systems.Purpose, metric string, run func(context.Context, env) error,
) error {
	settings := system.Settings[purpose]
	scratch := report.Results{Systems: []string{system.Name}}
	failed := map[string]bool{}
	for range b.Rounds {
		for _, setting := range settings {
			label := setting.Label()
			b.choices[system.Name][purpose] = setting
			err := b.measure(ctx, measurement{section: "sweep", name: label, run: run}, system, &scratch)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			outcome := "done"
			if err != nil {
				failed[label], outcome = true, "failed: "+err.Error()
				b.results.Failures = append(b.results.Failures, fmt.Sprintf("sweep, %s, %s: %v", system.Name, label, err))
			}
			fmt.Fprintf(b.Out, "sweep, %s, %s, %s: %s\n", system.Name, purpose, label, outcome)
		}
	}
	best := -1
	for _, setting := range settings {
		series := scratch.Find("sweep", setting.Label(), system.Name, metric)
		if failed[setting.Label()] {
			continue
		}
		series.Metric.Name = string(purpose)
		b.results.Trials = append(b.results.Trials, report.Trial{Series: series, Purpose: string(purpose)})
		last := len(b.results.Trials) - 1
		if best < 0 || series.Better(b.results.Trials[best].Series) {
			best = last
			b.choices[system.Name][purpose] = setting
		}
	}
	if best < 0 {
		return fmt.Errorf("no setting of %s works", system.Name)
	}
	b.results.Trials[best].Chosen = true
	return nil
}
