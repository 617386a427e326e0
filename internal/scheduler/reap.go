package scheduler

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// reap ends the sessions of dead workers and settles their tasks (T4).
func (k *Keeper) reap(ctx context.Context) error {
	judge := k.cfg.Judge()
	if judge == uuid.Nil {
		return nil
	}
	reaped, err := k.store.Reap(ctx, judge, k.cfg.Lease, k.cfg.Grace)
	if err != nil {
		return err
	}
	if reaped.Next != nil && *reaped.Next < k.cfg.Tick {
		// A session runs out before the next tick: be there when it does.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(*reaped.Next + time.Millisecond):
		}
		return k.reap(ctx)
	}
	k.metrics.sessions.Add(float64(reaped.Sessions))
	if reaped.Sessions > 0 {
		k.log.Warn("workers were lost", "sessions", reaped.Sessions,
			"tasks_failed", reaped.Failed, "tasks_retried", len(reaped.Retried))
	}
	return k.ring.IndexIn(ctx, reaped.Retried)
}
