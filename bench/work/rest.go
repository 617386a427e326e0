package work

import (
	"context"
	"fmt"
	"time"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

const (
	// within and beyond are when the tasks of a system at rest are due: inside
	// of timewheel's horizon of an hour, and outside.
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

// layAhead puts tasks in that are due in a while, and records what they take
// in each store.
func (s *environment) layAhead(in time.Duration) {
	s.openForBusiness(1, systems.Rest)
	redis, postgres := get(s, s.Figures), get(s, s.Bytes)
	s.preload(times(s.scale.Ahead, time.Now().Add(in), time.Millisecond))
	s.do(s.Settle)
	redisAfter, postgresAfter := get(s, s.Figures), get(s, s.Bytes)
	n := float64(s.scale.Ahead)
	// Clients' buffers come and go: below a byte a task there is nothing.
	s.record("Redis", "bytes a task", max(0, float64(int((redisAfter.Memory-redis.Memory)/n))))
	s.record("Postgres", "bytes a task", (postgresAfter-postgres)/n)
}

// watch records what the system costs while it has nothing to do.
func (s *environment) watch() {
	s.pauseUntil(time.Now().Add(s.scale.Calm))
	before := get(s, s.Figures)
	c := s.costOf(func(ctx context.Context) error { return rig.Pause(ctx, s.scale.Rest) })
	after := get(s, s.Figures)
	s.recordCPU("CPU", "% of a core", c.Usage, 100/c.took.Seconds())
	s.record("Redis commands", "a second", (after.Commands-before.Commands)/c.took.Seconds())
	s.record("Postgres transactions", "a second", (after.Transactions-before.Transactions)/c.took.Seconds())
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

// askAll stores n tasks, and puts every question that there is about them, one
// time after the other.
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
