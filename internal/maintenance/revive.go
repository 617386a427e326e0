package maintenance

import "context"

// revive hands out again what was claimed and not started in time.
func (m *Maintainer) revive(ctx context.Context) error {
	n, err := m.index.Revive(ctx)
	m.metrics.moved.WithLabelValues(movedRevived).Add(float64(n))
	if n > 0 {
		m.log.Info("lapsed claims are due again", "tasks", n)
	}
	return err
}
