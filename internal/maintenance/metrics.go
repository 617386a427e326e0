package maintenance

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics show what the background loops of this node had to do.
type metrics struct {
	ring     prometheus.Gauge
	moved    *prometheus.CounterVec
	sessions prometheus.Counter
	deleted  prometheus.Counter
	expired  prometheus.Counter
	failures *prometheus.CounterVec
}

// The reasons for which tasks are moved into, within or out of the due index.
const (
	movedCascade = "cascade" // they came within the horizon
	movedOverdue = "overdue" // they were due and not indexed: something went wrong before
	movedMissing = "missing" // an audit found them not indexed
	movedStale   = "stale"   // an audit found them indexed though they will not run
	movedRevived = "revived" // their claim lapsed: a worker died, or a reply was lost
)

func newMetrics(reg prometheus.Registerer) metrics {
	factory := promauto.With(reg)
	m := metrics{
		ring: factory.NewGauge(prometheus.GaugeOpts{
			Name: "timewheel_ring_tasks",
			Help: "Tasks in the due index, as the leader last saw it.",
		}),
		moved: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "timewheel_ring_moves_total",
			Help: "Tasks that the background loops moved into, within or out of the due index, by reason.",
		}, []string{"reason"}),
		sessions: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_sessions_reaped_total",
			Help: "Sessions of dead workers that this node ended.",
		}),
		deleted: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_tasks_forgotten_total",
			Help: "Tasks that this node deleted because they ended long ago, about as many as the statistics of their partition say.",
		}),
		expired: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_tasks_expired_total",
			Help: "Tasks that this node ended because they were too late to start. Workers end others when they claim them.",
		}),
		failures: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "timewheel_loop_failures_total",
			Help: "Rounds of the background loops that failed, by loop: lead, audit, reap, schedule, operate, expire, backlog, retain, legacy.",
		}, []string{"loop"}),
	}
	// From the beginning, or the first of each would not be seen as a rise. The other loops have
	// theirs when they begin.
	for _, reason := range []string{movedCascade, movedOverdue, movedMissing, movedStale, movedRevived} {
		m.moved.WithLabelValues(reason)
	}
	m.failures.WithLabelValues("audit")
	return m
}
