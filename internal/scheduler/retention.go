package scheduler

import (
	"context"
	"time"
)

// retainBudget is how long one round may go on before others get their turn.
const retainBudget = 5 * time.Second

// retain deletes what ended long ago, page by page, for as long as there is
// something that may be deleted. The node that turns the wheel does it.
func (k *Keeper) retain(ctx context.Context) error {
	for start := time.Now(); k.leads.Load() && time.Since(start) < retainBudget; {
		deleted, done, err := k.store.Forget(ctx, k.cfg.Retention, pageSize)
		if err != nil {
			return err
		}
		k.metrics.deleted.Add(float64(deleted))
		if deleted > 0 {
			k.log.Debug("old tasks were deleted", "tasks", deleted)
		}
		if done {
			return nil
		}
	}
	return nil
}
