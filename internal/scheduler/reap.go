package scheduler

import "context"

// reap ends the sessions of dead workers and settles their tasks (T4).
func (k *Keeper) reap(ctx context.Context) error {
	if !k.cfg.MayReap() {
		return nil
	}
	reaped, err := k.store.Reap(ctx, k.cfg.Grace)
	if err != nil {
		return err
	}
	if reaped.Sessions > 0 {
		k.log.Warn("workers were lost", "sessions", reaped.Sessions,
			"tasks_failed", reaped.Failed, "tasks_retried", len(reaped.Retried))
	}
	return k.ring.IndexIn(ctx, reaped.Retried)
}
