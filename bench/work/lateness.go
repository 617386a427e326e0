package work

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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
func (s *environment) uniform(rate int, span time.Duration) {
	n := int(float64(rate) * span.Seconds())
	s.planned(n, span/time.Duration(n))
}

// planned is section d: n tasks that are put in before the first is due, at
// this distance from each other.
func (s *environment) planned(n int, apart time.Duration) {
	s.openForBusiness(1, systems.Lateness)
	start := time.Now().Add(s.scale.Lead + time.Duration(n)*time.Second/slowestPreload).Truncate(time.Microsecond)
	due := times(n, start, apart)
	s.preload(due)
	if late := time.Since(start); s.err == nil && late > 0 {
		s.err = fmt.Errorf("putting the tasks in ended %v after the first fell due", late)
	}
	s.recordLateness(n, due[n-1])
}

// live is section d: tasks that are created evenly over the span, by a few
// clients and each a second before it is due, while others run.
func (s *environment) live() {
	s.openForBusiness(1, systems.Lateness)
	n := int(float64(s.scale.Live) * s.scale.Span.Seconds())
	at := times(n, time.Now(), s.scale.Span/time.Duration(n))
	group, ctx := errgroup.WithContext(s.ctx)
	for client := range liveClients {
		group.Go(func() error {
			for i := client; i < n && s.err == nil; i += liveClients {
				if err := rig.Pause(ctx, time.Until(at[i])); err != nil {
					return err
				}
				if err := s.Create(ctx, time.Now().Add(liveAhead).Truncate(time.Microsecond)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); s.err == nil {
		s.err = err
	}
	s.recordLateness(n, time.Now().Add(liveAhead))
}

// recordLateness waits until all n tasks have been handled and records how
// late they were. It is an error if one was handled twice or, long after the
// last was due, not at all.
func (s *environment) recordLateness(n int, last time.Time) {
	s.pauseUntil(last)
	s.until(seenPause, func() (bool, error) {
		seen, err := s.seen()
		switch {
		case seen > n:
			err = fmt.Errorf("%d tasks were put in and %d were handled", n, seen)
		case seen < n && time.Since(last) > latePatience:
			err = fmt.Errorf("%d of %d tasks were not handled %v after they were due", n-seen, n, latePatience)
		}
		return seen == n, err
	})
	var late []time.Duration
	s.do(func(context.Context) error { return s.workers[0].Ask("Lateness", &late) })
	if s.err != nil {
		return
	}
	s.recordPercentiles("", late, 50, 95, 99)
	s.record("max", "ms", ms(late[n-1]))
	s.record("min", "ms", ms(late[0]))
	early, _ := slices.BinarySearch(late, 0)
	s.record("early", "%", 100*float64(early)/float64(n))
}
