package scheduler

import (
	"context"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// auditDue reports whether the whole inner ring should be compared with the
// outer one: at a slow pace, and at once when Redis was restarted (it may hold
// an older state) or when the ring is empty although tasks are ahead.
func (k *Keeper) auditDue(ctx context.Context, run string, now time.Time) (bool, error) {
	size, err := k.ring.Size(ctx)
	if err != nil {
		return false, err
	}
	k.metrics.ring.Set(float64(size))
	if run != k.wheel.runID || !time.Now().Before(k.wheel.nextAudit) {
		return true, nil
	}
	if size > 0 {
		return false, nil
	}
	ahead, err := k.store.Window(ctx, task.Due{At: now}, now.Add(k.cfg.Horizon), 1)
	return len(ahead) > 0, err
}

// audit makes the inner ring equal to the window of the outer one. It drops
// first: what stands in Redis was committed before, so if Postgres does not
// know it as submitted now, it is stale.
func (k *Keeper) audit(ctx context.Context, now time.Time) error {
	stale, err := k.dropStale(ctx)
	if err != nil {
		return err
	}
	missing := 0
	for after := (task.Due{}); ; {
		page, err := k.store.Window(ctx, after, now.Add(k.cfg.Horizon), pageSize)
		if err != nil {
			return err
		}
		n, err := k.ring.Repair(ctx, page)
		if err != nil {
			return err
		}
		missing += n
		if len(page) < pageSize {
			break
		}
		after = page[len(page)-1]
		granted, _, err := k.ring.Turn(ctx, k.self, turnTerm, k.cfg.Horizon, time.Time{})
		if err != nil || !granted {
			return err
		}
	}
	k.metrics.moved.WithLabelValues(movedStale).Add(float64(stale))
	k.metrics.moved.WithLabelValues(movedMissing).Add(float64(missing))
	if stale > 0 || missing > 0 {
		k.log.Info("inner ring was repaired", "stale", stale, "missing", missing)
	}
	return nil
}

func (k *Keeper) dropStale(ctx context.Context) (dropped int, err error) {
	err = k.ring.Scan(ctx, func(ids []task.ID) error {
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
