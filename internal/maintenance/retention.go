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
	if labelErr := m.forgetLabels(ctx); labelErr != nil {
		err = errors.Join(err, fmt.Errorf("labels: %w", labelErr))
	}
	if auditErr := m.forgetAudit(ctx); auditErr != nil {
		err = errors.Join(err, fmt.Errorf("audit: %w", auditErr))
	}
	if operationErr := m.store.ForgetOperations(ctx, m.cfg.Retention, pageSize); operationErr != nil {
		err = errors.Join(err, fmt.Errorf("operations: %w", operationErr))
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

const (
	// labelPage is how many labels one statement looks at.
	labelPage = 5000
	// labelPages is how many of them a round looks at if it finds nothing, and labelBudget how
	// long it goes on if it does.
	labelPages  = 2
	labelBudget = time.Second
)

// forgetLabels goes on with a walk over the labels, faster where there is something to delete.
func (m *Maintainer) forgetLabels(ctx context.Context) error {
	start := time.Now()
	for page := 1; m.leads.Load(); page++ {
		deleted, done, err := m.store.ForgetLabels(ctx, m.cfg.Retention, labelPage)
		if err != nil || done || time.Since(start) > labelBudget || page >= labelPages && deleted == 0 {
			return err
		}
	}
	return nil
}

// forgetAudit deletes, page by page, what the audit has for longer than tasks are kept.
func (m *Maintainer) forgetAudit(ctx context.Context) error {
	for start := time.Now(); m.leads.Load() && time.Since(start) < retainBudget; {
		deleted, err := m.store.ForgetAudit(ctx, m.cfg.Retention, pageSize)
		if err != nil || deleted < pageSize {
			return err
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
