package scheduler

import "context"

// revive hands out again what was claimed and not started in time.
func (k *Keeper) revive(ctx context.Context) error {
	n, err := k.ring.Revive(ctx)
	if n > 0 {
		k.log.Info("lapsed claims are due again", "tasks", n)
	}
	return err
}
