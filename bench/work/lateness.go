package work

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/report"
	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// slowestPreload is how many tasks a second every system can put in.
	slowestPreload = 5000
	// latePatience is how late the last task may be.
	latePatience = 60 * time.Second
	seenPause    = 100 * time.Millisecond
	liveClients  = 8
	liveAhead    = time.Second
)

// uniform is section d: tasks that fall due evenly.
func uniform(rate int, span time.Duration) measurement {
	name := count(rate) + "/s"
	return measurement{section: report.Lateness, name: name, run: func(ctx context.Context, s *environment) error {
		n := int(float64(rate) * span.Seconds())
		return s.planned(ctx, name, n, func(i int) time.Duration { return span * time.Duration(i) / time.Duration(n) })
	}}
}

// burst is section d: n tasks that fall due at one instant.
func burst(n int) measurement {
	name := "burst of " + count(n)
	return measurement{section: report.Lateness, name: name, run: func(ctx context.Context, s *environment) error {
		return s.planned(ctx, name, n, func(int) time.Duration { return 0 })
	}}
}

// live is section d: tasks that are created while others run, each a second
// before it is due.
func live(rate int, span time.Duration) measurement {
	name := count(rate) + "/s created a second ahead"
	return measurement{section: report.Lateness, name: name, run: func(ctx context.Context, s *environment) error {
		if err := s.openForBusiness(ctx); err != nil {
			return err
		}
		n := int(float64(rate) * span.Seconds())
		if err := s.createLive(ctx, n, span); err != nil {
			return err
		}
		return s.recordLateness(ctx, name, n, time.Now().Add(liveAhead))
	}}
}

// openForBusiness starts a worker that waits for tasks to fall due.
func (s *environment) openForBusiness(ctx context.Context) error {
	if err := s.startWorkers(ctx, 1, s.choice.time); err != nil {
		return err
	}
	if err := s.release(ctx); err != nil {
		return err
	}
	return s.client.Warm(ctx)
}

// planned puts n tasks in, the i-th due at a distance from a common start, and
// measures them.
func (s *environment) planned(ctx context.Context, name string, n int, distance func(i int) time.Duration) error {
	if err := s.openForBusiness(ctx); err != nil {
		return err
	}
	start := time.Now().Add(s.scale.Lead + time.Duration(n)*time.Second/slowestPreload)
	due := make([]time.Time, n)
	for i := range due {
		due[i] = start.Add(distance(i)).Truncate(time.Microsecond)
	}
	if err := s.client.Preload(ctx, due); err != nil {
		return fmt.Errorf("put tasks in: %w", err)
	}
	if late := time.Since(start); late > 0 {
		return fmt.Errorf("putting the tasks in ended %v after the first fell due", late)
	}
	return s.recordLateness(ctx, name, n, due[n-1])
}

// createLive creates n tasks evenly over the span, from a few clients.
func (s *environment) createLive(ctx context.Context, n int, span time.Duration) error {
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for client := range liveClients {
		group.Go(func() (err error) {
			var submitter systems.Submitter
			if submitter, err = s.client.Submitter(ctx); err != nil {
				return err
			}
			defer submitter.Close() // Each create was answered.
			for i := client; i < n; i += liveClients {
				if err := pauseUntil(ctx, start.Add(span*time.Duration(i)/time.Duration(n))); err != nil {
					return err
				}
				if err := submitter.Create(ctx, time.Now().Add(liveAhead).Truncate(time.Microsecond)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// recordLateness waits until all n tasks have been handled and records how
// late they were.
func (s *environment) recordLateness(ctx context.Context, name string, n int, last time.Time) error {
	late, err := s.collectLateness(ctx, n, last)
	if err != nil {
		return err
	}
	early := 0
	for early < len(late) && late[early] < 0 {
		early++
	}
	s.record(name, milliseconds("p50"), ms(report.Quantile(late, 0.5)))
	s.record(name, milliseconds("p95"), ms(report.Quantile(late, 0.95)))
	s.record(name, milliseconds("p99"), ms(report.Quantile(late, 0.99)))
	s.record(name, milliseconds("max"), ms(late[len(late)-1]))
	s.record(name, milliseconds("min"), ms(late[0]))
	s.record(name, report.Metric{Name: "early", Unit: "%", Better: report.Lower}, 100*float64(early)/float64(n))
	return nil
}

// collectLateness returns the lateness of all n tasks, sorted. It is an error
// if one was handled twice or, long after the last was due, not at all.
func (s *environment) collectLateness(ctx context.Context, n int, last time.Time) ([]time.Duration, error) {
	deadline := last.Add(latePatience)
	if err := pauseUntil(ctx, last); err != nil {
		return nil, err
	}
	for {
		seen, err := s.seen(ctx)
		switch {
		case err != nil:
			return nil, err
		case seen > n:
			return nil, fmt.Errorf("%d tasks were put in and %d were handled", n, seen)
		case seen == n:
			return s.gatherLateness(ctx)
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%d of %d tasks were not handled %v after they were due", n-seen, n, latePatience)
		}
		if err := rig.Pause(ctx, seenPause); err != nil {
			return nil, err
		}
	}
}

func (s *environment) gatherLateness(ctx context.Context) ([]time.Duration, error) {
	var all []time.Duration
	for _, remote := range s.remotes() {
		late, err := remote.Lateness(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, late...)
	}
	slices.Sort(all)
	return all, nil
}

func pauseUntil(ctx context.Context, at time.Time) error { return rig.Pause(ctx, time.Until(at)) }
