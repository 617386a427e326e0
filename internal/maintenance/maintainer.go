// Package maintenance keeps the due index in Redis true to Postgres, settles the tasks
// of dead workers, and drops old history. Every worker runs all of its loops, and
// running them N times over is safe. Those that read much are done by the leader, one
// node at a time, which holds a short term in Redis; should two nodes lead, they repeat
// each other's work.
//
//	lead       cascade, rebuild and repair of the due index           lead.go
//	audit      the whole of it, beside lead                           audit.go
//	expire     tasks that are too late to start, by the leader        expire.go
//	reap       dead sessions                                          reap.go
//	schedule   occurrences of schedules, by the leader                schedule.go
//	backlog    what is overdue, for the metrics, by the leader        backlog.go
//	operate    operations on all tasks that match, by the leader      operate.go
//	retain     partitions of the history, by the leader               retention.go
package maintenance

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

// Store is Postgres as the loops need it.
type Store interface {
	Now(ctx context.Context) (time.Time, error)
	Window(ctx context.Context, after task.Due, until time.Time, limit int) (page []task.Due, next task.Due, more bool, err error)
	Submitted(ctx context.Context, ids []task.ID) ([]task.DueIn, error)
	Rooms(ctx context.Context) (map[string]int, error)
	Backlog(ctx context.Context, grace time.Duration) (task.Backlog, error)
	Reap(ctx context.Context, judge uuid.UUID, lease, grace time.Duration) (task.Reaped, error)
	Expire(ctx context.Context, limit int) (expired []task.Ref, more bool, err error)
	ExpireByType(ctx context.Context, after task.Due, limit int) (expired []task.Ref, next task.Due, more bool, err error)
	DueSchedules(ctx context.Context, until time.Time, limit int) ([]task.DueSchedule, error)
	MakeOccurrences(ctx context.Context, steps []task.Advance) ([]task.Due, error)
	ForgetOccurrences(ctx context.Context, limit int) error
	ActiveOperations(ctx context.Context) ([]task.Operation, error)
	Candidates(ctx context.Context, o *task.Operation) (task.Candidates, error)
	Operate(ctx context.Context, o *task.Operation, page task.OperationPage) (task.Acted, error)
	ForgetOperations(ctx context.Context, keep time.Duration, limit int) error
	ExtendHistory(ctx context.Context, keep time.Duration) error
	DropEnded(ctx context.Context, keep time.Duration) (dropped int64, err error)
	ForgetAudit(ctx context.Context, keep time.Duration, limit int) (deleted int, err error)
	DeleteRest(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error)
	ForgetLabels(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error)
}

// Index is the due index in Redis as the loops need it.
type Index interface {
	Lead(ctx context.Context, node uuid.UUID, term, horizon time.Duration, indexedUntil time.Time) (
		leads bool, built time.Time, err error)
	RunID(ctx context.Context) (string, error)
	LastAudit(ctx context.Context) (run string, ago time.Duration, err error)
	NoteAudit(ctx context.Context, run string) error
	Types(ctx context.Context) ([]string, error)
	Size(ctx context.Context, types []string) (int64, error)
	Scan(ctx context.Context, taskType string, f func([]task.ID) error) error
	Repair(ctx context.Context, tasks []task.Due) (int, error)
	Remove(ctx context.Context, tasks []task.Ref) error
	CancelRequested(ctx context.Context, session uuid.UUID) error
	Index(ctx context.Context, tasks []task.Due) error
	IndexIn(ctx context.Context, tasks []task.DueIn) error
	Revived() int
	RaiseRoom(ctx context.Context, rooms map[string]int) error
	DropLegacy(ctx context.Context, shards int) error
}

// Config sets the pace of the loops.
type Config struct {
	Horizon time.Duration
	// LegacyShards is into how many shards the index of older versions was split.
	LegacyShards int
	// Grace is how long after its lease passed a session is declared dead.
	Grace time.Duration
	// Retention is how long ended tasks are kept.
	Retention time.Duration
	// Tick is the pace of lead and reap. Zero means one second.
	Tick time.Duration
	// Audit is how often the whole due index is compared with Postgres.
	// Zero means five minutes.
	Audit time.Duration
	// Judge is the worker session in whose name this node declares others dead,
	// and Lease the time of its lease. Without one, nil or the zero UUID, it
	// declares nobody dead.
	Judge func() uuid.UUID
	Lease time.Duration
	// Metrics is where the loops' metrics are registered. Nil means nowhere.
	Metrics prometheus.Registerer
}

// Maintainer runs the background loops of one node.
type Maintainer struct {
	store Store
	index Index
	cfg   Config
	log   *slog.Logger

	metrics metrics
	backlog *backlogGauges

	self    uuid.UUID   // the name under which this node leads
	leads   atomic.Bool // this node led at its last tick
	follow  int         // ticks until this node asks for the lead again
	quiet   time.Time   // no session can be dead before
	overdue overdueScan
	// expiring is where the look at what is overdue goes on, for types with expires_in, not
	// before expirePause ends.
	expiring    task.Due
	expirePause time.Time
	// nextLook is when the backlog is looked at again, not before.
	nextLook time.Time
	// extended: this node has made the partitions that it needs first.
	extended bool
	sized    time.Time // when the size of the index was looked at last
	// auditing is true while an audit runs beside the ticks.
	auditing atomic.Bool
	audits   sync.WaitGroup
}

// New makes the background loops of one node.
func New(store Store, index Index, cfg Config, log *slog.Logger) *Maintainer {
	if cfg.Tick == 0 {
		cfg.Tick = time.Second
	}
	if cfg.Audit == 0 {
		cfg.Audit = 5 * time.Minute
	}
	if cfg.Judge == nil {
		cfg.Judge = func() uuid.UUID { return uuid.Nil }
	}
	m := &Maintainer{
		store: store, index: index, cfg: cfg, log: log.With("component", "maintenance"),
		metrics: newMetrics(cfg.Metrics), self: uuid.New(),
	}
	m.backlog = &backlogGauges{leads: m.leads.Load, expiry: backlogExpiry * cfg.Tick}
	if cfg.Metrics != nil {
		cfg.Metrics.MustRegister(m.backlog)
	}
	return m
}

// logAgain is how often a failure is logged that lasts.
const logAgain = time.Minute

// Run runs every loop until ctx ends.
func (m *Maintainer) Run(ctx context.Context) error {
	defer m.audits.Wait()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.every(ctx, "lead", m.cfg.Tick, m.leadOrFollow) })
	group.Go(func() error { return m.every(ctx, "legacy", 30*m.cfg.Tick, m.dropLegacy) })
	group.Go(func() error { return m.every(ctx, "reap", m.cfg.Tick, m.reapWhenDue) })
	group.Go(func() error { return m.every(ctx, "schedule", m.cfg.Tick, m.makeWhenLeading) })
	group.Go(func() error { return m.every(ctx, "operate", m.cfg.Tick/operatePace, m.operateWhenLeading) })
	group.Go(func() error { return m.every(ctx, "expire", m.cfg.Tick, m.expireWhenLeading) })
	group.Go(func() error { return m.every(ctx, "backlog", m.cfg.Tick, m.lookAtBacklog) })
	group.Go(func() error { return m.every(ctx, "retain", 10*m.cfg.Tick, m.retain) })
	return group.Wait()
}

// every calls once at a pace until ctx ends. A failure is counted and logged, once
// a minute while it lasts, and the loop goes on: the stores come back.
func (m *Maintainer) every(ctx context.Context, loop string, pace time.Duration, once func(context.Context) error) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	failures := m.metrics.failures.WithLabelValues(loop)
	var logged time.Time // when a failure that still lasts was logged last
	for {
		err := once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures.Inc()
			if time.Since(logged) >= logAgain {
				m.log.Warn("background loop fails", "loop", loop, "error", err)
				logged = time.Now()
			}
		case !logged.IsZero():
			m.log.Info("background loop works again", "loop", loop)
			logged = time.Time{}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
