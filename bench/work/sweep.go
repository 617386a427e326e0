package work

import (
	"context"
	"errors"
	"fmt"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/systems"
)

// sweepSection keeps the trials' figures out of the tables.
const sweepSection = "sweep"

// sweep tries every setting of every system, as often as everything else is
// measured, and chooses the best of each for what follows.
func (b *Bench) sweep(ctx context.Context) error {
	for _, system := range b.systems {
		rate, err := b.try(ctx, system, "rate", system.ForRate, b.tryRate)
		if err != nil {
			return err
		}
		prompt, err := b.try(ctx, system, "lateness, p99", system.ForTime, b.tryTime)
		if err != nil {
			return err
		}
		b.choices[system.Name] = choice{rate: rate, time: prompt, rest: system.AtRest}
	}
	return nil
}

// trial measures one setting once.
type trial func(ctx context.Context, system systems.System, setting systems.Setting) (float64, error)

// try tries the settings in turns and chooses by the median. A setting that
// fails once is not chosen.
func (b *Bench) try(
	ctx context.Context, system systems.System, purpose string, settings []systems.Setting, measure trial,
) (systems.Setting, error) {
	metric := metricRate
	if purpose != metricRate.Name {
		metric = milliseconds(purpose)
	}
	scratch := report.Results{Systems: []string{system.Name}}
	failed := make([]bool, len(settings))
	for range b.results.Rounds {
		for i, setting := range settings {
			value, err := measure(ctx, system, setting)
			if ctx.Err() != nil {
				return systems.Setting{}, ctx.Err()
			}
			result := report.Number(value) + " " + metric.Unit
			if err != nil {
				failed[i], result = true, "failed: "+err.Error()
				b.results.Failures = append(b.results.Failures, fmt.Sprintf("sweep, %s, %s: %v", system.Name, setting.Label, err))
			} else {
				scratch.Record(sweepSection, setting.Label, system.Name, metric, value)
			}
			fmt.Fprintf(b.out, "sweep, %s, %s, %s: %s\n", system.Name, purpose, setting.Label, result)
		}
	}
	best := -1
	var bestMedian float64
	for i, setting := range settings {
		if failed[i] {
			continue
		}
		series := scratch.Find(sweepSection, setting.Label, system.Name, metric.Name)
		if best < 0 || metric.Better.Than(series.Median, bestMedian) {
			best, bestMedian = i, series.Median
		}
		b.results.Trials = append(b.results.Trials, report.Trial{Purpose: purpose, Series: *series})
	}
	if best < 0 {
		return systems.Setting{}, fmt.Errorf("no setting of %s works", system.Name)
	}
	b.results.Choose(purpose, system.Name, settings[best].Label)
	return settings[best], nil
}

func (b *Bench) tryRate(ctx context.Context, system systems.System, setting systems.Setting) (rate float64, err error) {
	err = b.trySite(ctx, system, func(ctx context.Context, s *environment) error {
		s.choice.rate = setting
		if err := s.execute(ctx, "trial", s.scale.SweepExecute, 1, false); err != nil {
			return err
		}
		rate = s.results.Find(sweepSection, "trial", system.Name, report.Rate).Median
		return nil
	})
	return rate, err
}

// tryTime looks at the p99 of 500 tasks a second, and not at whether tasks ran
// early: that the tables show.
func (b *Bench) tryTime(ctx context.Context, system systems.System, setting systems.Setting) (p99 float64, err error) {
	m := uniform(500, b.scale.SweepSpan)
	err = b.trySite(ctx, system, func(ctx context.Context, s *environment) error {
		s.choice.time = setting
		if err := m.run(ctx, s); err != nil {
			return err
		}
		p99 = s.results.Find(sweepSection, m.name, system.Name, "p99").Median
		return nil
	})
	return p99, err
}

// trySite gives a trial a environment whose figures and memory are kept apart from
// those of the work.
func (b *Bench) trySite(ctx context.Context, system systems.System, run func(context.Context, *environment) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, measurePatience)
	defer cancel()
	s, err := b.enter(ctx, sweepSection, system)
	if err != nil {
		return err
	}
	s.results = &report.Results{Systems: []string{system.Name}}
	defer func() { err = errors.Join(err, s.leave()) }()
	return run(ctx, s)
}
