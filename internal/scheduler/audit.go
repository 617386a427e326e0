package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// errNoRight says that another node turns the wheel by now.
var errNoRight = errors.New("another node turns the wheel")

// auditIfDue begins an audit beside the ticks, if one is due: at a slow pace, and at
// once when Redis was restarted (it may hold an older state) or when the ring is
// empty although tasks are ahead. Which run of Redis was audited, and when, stands in
// Redis: a node that takes over does not begin again.
func (k *Keeper) auditIfDue(ctx context.Context, now time.Time) error {
	if k.auditing.Load() {
		return nil
	}
	run, err := k.ring.RunID(ctx)
	if err != nil {
		return err
	}
	due, err := k.auditDue(ctx, run, now)
	if err != nil || !due {
		return err
	}
	k.auditing.Store(true)
	k.audits.Go(func() {
		defer k.auditing.Store(false)
		if err := k.audit(ctx, run); err != nil && ctx.Err() == nil && !errors.Is(err, errNoRight) {
			k.metrics.failures.WithLabelValues("audit").Inc()
			k.log.Warn("audit of the inner ring fails", "error", err)
		}
	})
	return nil
}

func (k *Keeper) auditDue(ctx context.Context, run string, now time.Time) (bool, error) {
	size, err := k.ring.Size(ctx)
	if err != nil {
		return false, err
	}
	k.metrics.ring.Set(float64(size))
	audited, ago, err := k.ring.LastAudit(ctx)
	if err != nil || audited != run || ago >= k.cfg.Audit {
		return err == nil, err
	}
	if size > 0 {
		return false, nil
	}
	ahead, _, _, err := k.store.Window(ctx, task.Due{At: now}, now.Add(k.cfg.Horizon), 1)
	return len(ahead) > 0, err
}

// audit makes the inner ring equal to the window of the outer one. It drops
// first: what stands in Redis was committed before, so if Postgres does not
// know it as submitted now, it is stale.
func (k *Keeper) audit(ctx context.Context, run string) error {
	now, err := k.store.Now(ctx)
	if err != nil {
		return err
	}
	stale, err := k.dropStale(ctx)
	if err != nil {
		return err
	}
	missing := 0
	for after, more := (task.Due{}), true; more; {
		var page []task.Due
		if page, after, more, err = k.store.Window(ctx, after, now.Add(k.cfg.Horizon), pageSize); err != nil {
			return err
		}
		n, err := k.ring.Repair(ctx, page)
		if err != nil {
			return err
		}
		missing += n
		if err := k.keepRight(ctx); err != nil {
			return err
		}
	}
	k.metrics.moved.WithLabelValues(movedStale).Add(float64(stale))
	k.metrics.moved.WithLabelValues(movedMissing).Add(float64(missing))
	if stale > 0 || missing > 0 {
		k.log.Info("inner ring was repaired", "stale", stale, "missing", missing)
	}
	return k.ring.NoteAudit(ctx, run)
}

// keepRight renews the right to turn the wheel, which an audit outlasts.
func (k *Keeper) keepRight(ctx context.Context) error {
	granted, _, err := k.ring.Turn(ctx, k.self, turnTerm, k.cfg.Horizon, time.Time{})
	if err == nil && !granted {
		err = errNoRight
	}
	return err
}

func (k *Keeper) dropStale(ctx context.Context) (dropped int, err error) {
	err = k.ring.Scan(ctx, func(ids []task.ID) error {
		if err := k.keepRight(ctx); err != nil {
			return err
		}
		waiting, err := k.store.Submitted(ctx, ids)
		if err != nil || len(waiting) == len(ids) {
			return err
		}
		waits := make(map[task.ID]bool, len(waiting))
		for _, w := range waiting {
			waits[w.ID] = true
		}
		var stale []task.ID
		for _, id := range ids {
			if !waits[id] {
				stale = append(stale, id)
			}
		}
		dropped += len(stale)
		return k.ring.Remove(ctx, stale)
	})
	return dropped, err
}
