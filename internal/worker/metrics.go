package worker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	lateness     prometheus.Histogram
	running      prometheus.Gauge
	refused      prometheus.Counter
	claimsFailed prometheus.Counter
	renewsFailed prometheus.Counter
	sessionsLost prometheus.Counter
	ends         *ends
	endsWaiting  prometheus.Gauge
	endsRetried  prometheus.Counter
}

// newMetrics registers the metrics. served are the types whose outcomes are counted.
func newMetrics(reg prometheus.Registerer, served func() []string) *metrics {
	factory := promauto.With(reg)
	m := &metrics{
		lateness: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "timewheel_start_lateness_seconds",
			Help:    "Time from when an attempt was due, or its task created if that was later, to its committed start, by Postgres' clock.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
		running: factory.NewGauge(prometheus.GaugeOpts{
			Name: "timewheel_tasks_running",
			Help: "Tasks whose handler runs now.",
		}),
		refused: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_starts_refused_total",
			Help: "Claimed tasks that Postgres did not let start: stale, deleted, or not due by its clock.",
		}),
		claimsFailed: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_claims_failed_total",
			Help: "Calls to Redis for due tasks that failed.",
		}),
		renewsFailed: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_heartbeats_failed_total",
			Help: "Renewals of the worker's lease in Postgres that failed.",
		}),
		sessionsLost: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_sessions_lost_total",
			Help: "Sessions of this worker that others declared dead.",
		}),
		ends: &ends{served: served, CounterVec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "timewheel_attempts_ended_total",
			Help: "Attempts that ended, by task type and outcome: done, a failure's code, or late_result.",
		}, []string{"task_type", "outcome"})},
		endsWaiting: factory.NewGauge(prometheus.GaugeOpts{
			Name: "timewheel_ends_waiting",
			Help: "Attempts that have ended and whose end Postgres has not committed yet.",
		}),
		endsRetried: factory.NewCounter(prometheus.CounterOpts{
			Name: "timewheel_ends_retried_total",
			Help: "Ends of attempts that Postgres refused or whose row was locked, and that are tried again.",
		}),
	}
	reg.MustRegister(m.ends)
	return m
}

func (m *metrics) finished(taskType, outcome string) {
	m.ends.WithLabelValues(taskType, outcome).Inc()
}
