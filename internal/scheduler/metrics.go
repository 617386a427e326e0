package scheduler

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// keeperMetrics show what the background loops of this node had to do.
type keeperMetrics struct {
	ring     prometheus.Gauge
	moved    *prometheus.CounterVec
	sessions prometheus.Counter
	deleted  prometheus.Counter
	failures *prometheus.CounterVec
}

// The reasons for which tasks are moved into, within or out of the inner ring.
const (
	movedCascade = "cascade" // they came within the horizon
	movedOverdue = "overdue" // they were due and in no ring: something went wrong before
	movedMissing = "missing" // an audit found them in no ring
	movedStale   = "stale"   // an audit found them in the ring though they will not run
	movedRevived = "revived" // their claim lapsed: a worker died, or a reply was lost
)

func newKeeperMetrics(reg prometheus.Registerer) keeperMetrics {
	factory := promauto.With(reg)
	return keeperMetrics{
		ring: factory.NewGauge(prometheus.GaugeOpts{
			Name: "timewheel_ring_tasks",
			Help: "Tasks in the inner ring, as the node that turned the wheel last saw it.",
		}),
		moved: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "timewheel_ring_moves_total",
			Help: "Tasks that the background loops moved into, within or out of the inner ring, by reason.",
		}, []string{"reason"}),
		sessions: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_sessions_reaped_total",
			Help: "Sessions of dead workers that this node ended.",
		}),
		deleted: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_tasks_forgotten_total",
			Help: "Tasks that this node deleted because they ended long ago.",
		}),
		failures: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "timewheel_loop_failures_total",
			Help: "Rounds of the background loops that failed, by loop: turn, audit, revive, reap, retain.",
		}, []string{"loop"}),
	}
}
