package maintenance

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// retainBudget is how long one round may go on before others get their turn.
const retainBudget = 5 * time.Second

// retain makes the partitions for what ends next and drops those of what ended long ago. The
// leader does it; and each node when it starts, lest its first tasks end before there is a
// partition for them.
func (m *Maintainer) retain(ctx context.Context) error {
	if !m.leads.Load() && m.extended {
		return nil
	}
	if err := m.store.ExtendHistory(ctx, m.cfg.Retention); err != nil {
		return err
	}
	m.extended = true
	if !m.leads.Load() {
		return nil
	}
	dropped, err := m.store.DropEnded(ctx, m.cfg.Retention)
	m.forgotten(dropped)
	if restErr := m.deleteRest(ctx); restErr != nil {
		err = errors.Join(err, fmt.Errorf("rest: %w", restErr))
	}
	return err
}

// deleteRest deletes, page by page, what old tasks there are outside of partitions.
func (m *Maintainer) deleteRest(ctx context.Context) error {
	for start := time.Now(); m.leads.Load() && time.Since(start) < retainBudget; {
		deleted, done, err := m.store.DeleteRest(ctx, m.cfg.Retention, pageSize)
		if err != nil {
			return err
		}
		m.forgotten(int64(deleted))
		if done {
			break
		}
	}
	return nil
}

func (m *Maintainer) forgotten(tasks int64) {
	m.metrics.deleted.Add(float64(tasks))
	if tasks > 0 {
		m.log.Debug("old tasks were deleted", "tasks", tasks)
	}
}
