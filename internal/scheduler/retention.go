package scheduler

import "context"

// retain deletes what ended long ago, in pages, and goes on at once as long as
// there is something to delete.
func (k *Keeper) retain(ctx context.Context) error {
	for {
		deleted, round, err := k.store.Forget(ctx, k.cfg.Retention, pageSize)
		if err != nil {
			return err
		}
		k.metrics.deleted.Add(float64(deleted))
		if deleted > 0 {
			k.log.Debug("old tasks were deleted", "tasks", deleted)
		}
		if round || deleted == 0 {
			return nil
		}
	}
}
