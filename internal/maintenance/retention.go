package maintenance

import (
	"context"
	"time"
)

// retainBudget is how long one round may go on before others get their turn.
const retainBudget = 5 * time.Second

// retain deletes what ended long ago, page by page, for as long as there is
// something that may be deleted. The leader does it.
func (m *Maintainer) retain(ctx context.Context) error {
	for start := time.Now(); m.leads.Load() && time.Since(start) < retainBudget; {
		deleted, done, err := m.store.DeleteEnded(ctx, m.cfg.Retention, pageSize)
		if err != nil {
			return err
		}
		m.metrics.deleted.Add(float64(deleted))
		if deleted > 0 {
			m.log.Debug("old tasks were deleted", "tasks", deleted)
		}
		if done {
			return nil
		}
	}
	return nil
}
