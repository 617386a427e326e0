package scheduler

import "context"

// revive hands out again what was claimed and not started in time.
func (k *Keeper) revive(ctx context.Context) error {
	n, err := k.ring.Revive(ctx)
	k.metrics.moved.WithLabelValues(movedRevived).Add(float64(n))
	if n > 0 {
		k.log.Info("lapsed claims are due again", "tasks", n)
	}
	return err
}
