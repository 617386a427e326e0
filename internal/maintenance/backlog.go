package maintenance

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// backlogPace is how many ticks pass between two looks at the backlog, at least.
	backlogPace = 10
	// backlogPatience bounds a look.
	backlogPatience = 2 * time.Second
	// backlogExpiry is how many ticks a look is shown. A node that was stopped, or cannot look any
	// more, must not show for ever what it saw last.
	backlogExpiry = 30
	// allTypes is up to how many types each is shown. Of more, those that have a backlog or are paused.
	allTypes = 200
)

// lookAtBacklog is a tick of the look at the backlog, if this node leads. It takes a tenth of the
// time, at most.
func (m *Maintainer) lookAtBacklog(ctx context.Context) error {
	if !m.leads.Load() {
		m.backlog.clear()
		m.nextLook = time.Time{}
		return nil
	}
	start := time.Now()
	if start.Before(m.nextLook) {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, backlogPatience)
	defer cancel()
	seen, err := m.store.Backlog(bounded, overdueGrace)
	if err == nil {
		m.backlog.show(seen, start)
	}
	// A tick that is a moment early must not put a look off to the next one.
	m.nextLook = start.Add(max(backlogPace*m.cfg.Tick-m.cfg.Tick/2, 10*time.Since(start)))
	return err
}

// backlogGauges are what the leader saw last of the backlog, and nothing on any other node.
type backlogGauges struct {
	leads  func() bool
	expiry time.Duration

	mu   sync.Mutex
	seen task.Backlog
	at   time.Time // the zero time: nothing was seen
}

func (g *backlogGauges) show(seen task.Backlog, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen, g.at = seen, at
}

func (g *backlogGauges) clear() { g.show(nil, time.Time{}) }

var (
	overdueTasks = prometheus.NewDesc("timewheel_overdue_tasks",
		"Tasks that were due more than a second ago and have not started, up to 10000, as the leader last saw them.", []string{"type"}, nil)
	oldestOverdue = prometheus.NewDesc("timewheel_oldest_overdue_seconds",
		"How long ago the first of the overdue tasks was due, as the leader last saw it.", []string{"type"}, nil)
	dueSoonTasks = prometheus.NewDesc("timewheel_due_soon_tasks",
		"Tasks that fall due within a minute, an hour and a day, up to 10000, as the leader last saw them.", []string{"type", "horizon"}, nil)
	typePaused = prometheus.NewDesc("timewheel_type_paused",
		"Whether the type is paused, 1 or 0, as the leader last saw it.", []string{"type"}, nil)
	backlogChecked = prometheus.NewDesc("timewheel_backlog_checked_timestamp_seconds",
		"When this node looked at the backlog last, in seconds since 1970, by its clock. Only the leader does.", nil, nil)
)

// soonNames are the horizons of task.SoonHorizons, as the label has them.
var soonNames = [3]string{"minute", "hour", "day"}

// Describe implements prometheus.Collector.
func (g *backlogGauges) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{overdueTasks, oldestOverdue, dueSoonTasks, typePaused, backlogChecked} {
		out <- desc
	}
}

// Collect implements prometheus.Collector. It asks nobody: a scrape must not wait for a store.
func (g *backlogGauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	seen, at := g.seen, g.at
	g.mu.Unlock()
	if at.IsZero() || time.Since(at) > g.expiry || !g.leads() {
		return
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(backlogChecked, float64(at.UnixMilli())/1000)
	for _, b := range seen {
		if len(seen) > allTypes && !b.Paused && b.Overdue == 0 && b.Soon[2] == 0 {
			continue
		}
		paused := 0.0
		if b.Paused {
			paused = 1
		}
		gauge(typePaused, paused, b.Type)
		gauge(overdueTasks, float64(b.Overdue), b.Type)
		gauge(oldestOverdue, b.Oldest.Seconds(), b.Type)
		for i, n := range b.Soon {
			gauge(dueSoonTasks, float64(n), b.Type, soonNames[i])
		}
	}
}
