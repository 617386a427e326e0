package maintenance_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// gathered are the values of a metric by the values of its labels, which stand in the order of
// their names.
func gathered(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels strings.Builder
			for _, label := range metric.GetLabel() {
				labels.WriteString(label.GetValue() + " ")
			}
			values[labels.String()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

// observed is a maintainer with a registry of its own.
func (f *fixture) observed(store maintenance.Store) (*maintenance.Maintainer, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	return f.maintainerOf(store, f.ring, func(c *maintenance.Config) { c.Metrics = registry }), registry
}

const (
	overdue = "timewheel_overdue_tasks"
	checked = "timewheel_backlog_checked_timestamp_seconds"
)

func TestBacklogIsShownByTheLeaderAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO types (name, handler, version, paused) VALUES ('mail', 'lease', 1, true)`)
	f.insert(t, 3, -time.Hour, 0)
	f.insert(t, 2, 30*time.Second, 0)
	leader, seen := f.observed(f.db)
	other, none := f.observed(f.db)
	require.NoError(t, leader.Lead(t.Context()))
	require.NoError(t, other.Lead(t.Context()))
	for _, m := range []*maintenance.Maintainer{leader, other} {
		require.NoError(t, m.LookAtBacklog(t.Context()))
	}
	require.Equal(t, map[string]float64{"foo ": 3, "bar ": 0, "baz ": 0, "webhook ": 0, "mail ": 0}, gathered(t, seen, overdue))
	require.InDelta(t, 3600, gathered(t, seen, "timewheel_oldest_overdue_seconds")["foo "], 60)
	soon := gathered(t, seen, "timewheel_due_soon_tasks")
	require.Equal(t, []float64{2, 2, 2, 0}, []float64{soon["minute foo "], soon["hour foo "], soon["day foo "], soon["day mail "]})
	paused := gathered(t, seen, "timewheel_type_paused")
	require.Equal(t, []float64{1, 0}, []float64{paused["mail "], paused["foo "]})
	require.InDelta(t, time.Now().Unix(), gathered(t, seen, checked)[""], 60)
	require.Empty(t, gathered(t, none, checked))
	require.Empty(t, gathered(t, none, overdue))

	// A type that is gone takes its series along.
	require.NoError(t, f.db.DeleteType(t.Context(), "mail"))
	leader.AgeBacklog(time.Minute / 4)
	require.NoError(t, leader.LookAtBacklog(t.Context()))
	require.NotContains(t, gathered(t, seen, overdue), "mail ")
	require.Contains(t, gathered(t, seen, overdue), "foo ")

	// A node that was stopped comes back, and has not asked yet whether it still leads.
	leader.AgeBacklog(time.Minute)
	require.Empty(t, gathered(t, seen, overdue))
	require.NoError(t, leader.LookAtBacklog(t.Context()))
	require.NotEmpty(t, gathered(t, seen, overdue))

	// Another one leads.
	require.NoError(t, f.redis.Del(t.Context(), epochKey).Err())
	require.NoError(t, other.Lead(t.Context()))
	require.NoError(t, leader.Lead(t.Context()))
	require.Empty(t, gathered(t, seen, overdue))
	require.NoError(t, other.LookAtBacklog(t.Context()))
	require.NotEmpty(t, gathered(t, none, overdue))
}

// gate is the real store, whose looks at the backlog wait until they may go on.
type gate struct {
	*postgres.DB

	entered sync.Once
	inside  chan struct{}
}

func (g *gate) Backlog(ctx context.Context, _ time.Duration) (task.Backlog, error) {
	g.entered.Do(func() { close(g.inside) })
	<-ctx.Done()
	return nil, ctx.Err()
}

// Postgres says nothing: a scrape does not wait for it, and what was seen before goes.
func TestScrapeDoesNotWaitForTheLook(t *testing.T) {
	t.Parallel()
	f := open(t)
	silent := &gate{DB: f.db, inside: make(chan struct{})}
	m, registry := f.observed(silent)
	require.NoError(t, m.Lead(t.Context()))
	looked := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { looked <- m.LookAtBacklog(ctx) }()
	<-silent.inside
	require.Empty(t, gathered(t, registry, checked)) // while the look still waits
	require.Contains(t, gathered(t, registry, "timewheel_loop_failures_total"), "audit ")
	cancel()
	require.ErrorIs(t, <-looked, context.Canceled)
}

// What rises later is there from the beginning.
func TestCountersBeginAtZero(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, registry := f.observed(f.db)
	require.Equal(t, map[string]float64{"cascade ": 0, "overdue ": 0, "missing ": 0, "stale ": 0, "revived ": 0},
		gathered(t, registry, "timewheel_ring_moves_total"))
}
