package work

import (
	"context"
	"fmt"
	"slices"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/systems"
)

// sweep tries every setting of every system, as often as everything else is
// measured, and chooses the best of each for what follows.
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

// try tries the settings for a purpose in turns and chooses by the median of a
// metric. A setting that fails once is not chosen. Figures and memory are kept
// apart from those of the work.
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
	best := -1
	for _, setting := range settings {
		series := scratch.Find("sweep", setting.Label(), system.Name, metric)
		if series == nil || len(series.Values) < b.Rounds {
			continue
		}
		series.Metric.Name = string(purpose)
		if best < 0 || series.Better(b.results.Trials[best].Series) {
			best = len(b.results.Trials)
			system.Settings[purpose][0] = setting
		}
		b.results.Trials = append(b.results.Trials, report.Trial{Series: series, Purpose: string(purpose)})
	}
	if best < 0 {
		return fmt.Errorf("no setting of %s works", system.Name)
	}
	b.results.Trials[best].Chosen = true
	return nil
}
