package work

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// planned is section d: n tasks that are put in before the first is due, at this distance
// from each other.
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

// live is section d: tasks that are created evenly over the span, by a few clients and each
// a second before it is due, while others run.
func (s *environment) live() {
	s.openForBusiness(1, systems.Lateness)
	n := int(float64(s.scale.Live) * s.scale.Span.Seconds())
	group, ctx := errgroup.WithContext(s.ctx)
	group.SetLimit(liveClients)
	for _, at := range times(n, time.Now(), s.scale.Span/time.Duration(n)) {
		s.pauseUntil(at)
		group.Go(func() error { return s.Create(ctx, time.Now().Add(liveAhead).Truncate(time.Microsecond)) })
	}
	s.err = errors.Join(s.err, group.Wait())
	s.recordLateness(n, time.Now().Add(liveAhead))
}

// recordLateness waits until all n tasks have been handled and records how late they were.
// It is an error if one was handled twice or, long after the last was due, not at all.
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
	s.do(func(context.Context) error { return s.workers[0].Ask(rig.Lateness, &late) })
	if s.err != nil {
		return
	}
	s.recordPercentiles("", late, 50, 95, 99)
	s.record("max", "ms", ms(late[len(late)-1]))
	s.record("min", "ms", ms(late[0]))
	early, _ := slices.BinarySearch(late, 0)
	s.record("early", "%", 100*float64(early)/float64(n))
}

const (
	// within and beyond are when the tasks of a system at rest are due: inside of
	// timewheel's horizon of an hour, and outside.
	within = 55 * time.Minute
	beyond = 3 * time.Hour
	// askWarm is how often a question is put before it is measured.
	askWarm = 20
	// growthClients create while rows are many.
	growthClients = 16
)

// atRest is section e: tasks lie ahead and nothing is to be done.
func (s *environment) atRest() {
	s.layAhead(within)
	s.watch()
}

// farAhead is section e: what tasks cost that are due long after the horizon.
func (s *environment) farAhead() { s.layAhead(beyond) }

// idle is section h: many processes with nothing to do.
func (s *environment) idle() {
	s.openForBusiness(s.scale.Idle, systems.Rest)
	s.watch()
}

// layAhead puts tasks in that are due in a while, and records what they take in each store.
func (s *environment) layAhead(in time.Duration) {
	s.openForBusiness(1, systems.Rest)
	before := get(s, s.Figures)
	s.preload(times(s.scale.Ahead, time.Now().Add(in), time.Millisecond))
	s.do(s.Settle)
	after := get(s, s.Figures)
	// Clients' buffers and catalogs come and go: below a byte a task there is nothing.
	perTask := func(bytes float64) float64 { return max(0, math.Trunc(bytes/float64(s.scale.Ahead))) }
	s.record("Redis", "bytes a task", perTask(after.RedisBytes-before.RedisBytes))
	s.record("Postgres", "bytes a task", perTask(after.PostgresBytes-before.PostgresBytes))
}

// watch records what the system costs while it has nothing to do.
func (s *environment) watch() {
	s.pauseUntil(time.Now().Add(s.scale.Calm))
	before := get(s, s.Figures)
	spent, took := s.costOf(func() { s.pauseUntil(time.Now().Add(s.scale.Rest)) })
	after := get(s, s.Figures)
	s.recordCPU("CPU", "% of a core", spent, 100/took.Seconds())
	s.record("Redis commands", "a second", (after.Commands-before.Commands)/took.Seconds())
	s.record("Postgres transactions", "a second", (after.Transactions-before.Transactions)/took.Seconds())
}

// read is section f: pages and single tasks out of many stored ones.
func (s *environment) read() {
	rows := s.name
	s.askAll(s.scale.Rows, func(question string, latency []time.Duration) {
		s.name = rows + ": " + question
		s.recordPercentiles("", latency, 50, 99)
	})
}

// growth is section g: what the hot paths cost with n tasks stored.
func (s *environment) growth(n int) {
	rows := s.name
	s.askAll(n, func(question string, latency []time.Duration) { s.recordPercentiles(question+", ", latency, 50) })
	s.name = rows + ", create"
	s.create(growthClients, 1, func(ctx context.Context, due []time.Time) error { return s.Create(ctx, due[0]) })
	s.name = rows + ", execute " + count(s.scale.GrowthExecute)
	s.execute(s.scale.GrowthExecute, 1, false)
}

// askAll stores n tasks, and puts every question that there is about them, one time after
// the other.
func (s *environment) askAll(n int, asked func(question string, latency []time.Duration)) {
	s.do(func(ctx context.Context) error { return s.History(ctx, n) })
	s.do(s.Settle)
	for _, query := range get(s, s.Queries) {
		var latency []time.Duration
		for i := range askWarm + s.scale.Asks {
			began := time.Now()
			if err := query.Ask(s.ctx, i); err != nil {
				s.err = fmt.Errorf("ask for %s: %w", query.Name, err)
				return
			}
			latency = append(latency, time.Since(began))
		}
		asked(query.Name, latency[askWarm:])
	}
}
