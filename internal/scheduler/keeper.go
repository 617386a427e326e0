package scheduler

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

// KeeperStore is the outer ring as the background loops need it.
type KeeperStore interface {
	Now(ctx context.Context) (time.Time, error)
	Window(ctx context.Context, after task.Due, until time.Time, limit int) (page []task.Due, next task.Due, more bool, err error)
	Submitted(ctx context.Context, ids []task.ID) ([]task.Wait, error)
	Reap(ctx context.Context, judge uuid.UUID, lease, grace time.Duration) (task.Reaped, error)
	Forget(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error)
}

// KeeperRing is the inner ring as the background loops need it.
type KeeperRing interface {
	Turn(ctx context.Context, turner uuid.UUID, term, horizon time.Duration, frontier time.Time) (
		granted bool, built time.Time, err error)
	RunID(ctx context.Context) (string, error)
	LastAudit(ctx context.Context) (run string, ago time.Duration, err error)
	NoteAudit(ctx context.Context, run string) error
	Size(ctx context.Context) (int64, error)
	Scan(ctx context.Context, f func([]task.ID) error) error
	Repair(ctx context.Context, tasks []task.Due) (int, error)
	Remove(ctx context.Context, ids []task.ID) error
	IndexIn(ctx context.Context, tasks []task.Wait) error
	Revive(ctx context.Context) (int, error)
}

// KeeperConfig sets the pace of the loops.
type KeeperConfig struct {
	Horizon time.Duration
	// Grace is how long after its lease passed a session is declared dead.
	Grace time.Duration
	// Retention is how long ended tasks are kept.
	Retention time.Duration
	// Tick is the pace of turn, revive and reap. Zero means one second.
	Tick time.Duration
	// Audit is how often the whole inner ring is compared with the outer one.
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

// Keeper runs the background loops of one node.
type Keeper struct {
	store KeeperStore
	ring  KeeperRing
	cfg   KeeperConfig
	log   *slog.Logger

	metrics keeperMetrics

	self  uuid.UUID   // the name under which this node turns the wheel
	leads atomic.Bool // this node turned the wheel at its last tick
	wheel wheelState
	// auditing is true while an audit runs beside the ticks.
	auditing atomic.Bool
	audits   sync.WaitGroup
}

// NewKeeper makes the background loops of one node.
func NewKeeper(store KeeperStore, ring KeeperRing, cfg KeeperConfig, log *slog.Logger) *Keeper {
	if cfg.Tick == 0 {
		cfg.Tick = time.Second
	}
	if cfg.Audit == 0 {
		cfg.Audit = 5 * time.Minute
	}
	if cfg.Judge == nil {
		cfg.Judge = func() uuid.UUID { return uuid.Nil }
	}
	return &Keeper{
		store: store, ring: ring, cfg: cfg, log: log.With("component", "keeper"),
		metrics: newKeeperMetrics(cfg.Metrics), self: uuid.New(),
	}
}

// logAgain is how often a failure is logged that lasts.
const logAgain = time.Minute

// Run runs every loop until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.audits.Wait()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return k.every(ctx, "turn", k.cfg.Tick, k.turn) })
	group.Go(func() error { return k.every(ctx, "revive", k.cfg.Tick, k.revive) })
	group.Go(func() error { return k.every(ctx, "reap", k.cfg.Tick, k.reap) })
	group.Go(func() error { return k.every(ctx, "retain", 10*k.cfg.Tick, k.retain) })
	return group.Wait()
}

// every calls once at a pace until ctx ends. A failure is counted and logged, once
// a minute while it lasts, and the loop goes on: the stores come back.
func (k *Keeper) every(ctx context.Context, loop string, pace time.Duration, once func(context.Context) error) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	failures := k.metrics.failures.WithLabelValues(loop)
	var logged time.Time // when a failure that still lasts was logged last
	for {
		err := once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures.Inc()
			if time.Since(logged) >= logAgain {
				k.log.Warn("background loop fails", "loop", loop, "error", err)
				logged = time.Now()
			}
		case !logged.IsZero():
			k.log.Info("background loop works again", "loop", loop)
			logged = time.Time{}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
