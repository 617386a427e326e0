package maintenance

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// reap ends the sessions of dead workers and settles their tasks (T4).
func (m *Maintainer) reap(ctx context.Context) error {
	judge := m.cfg.Judge()
	if judge == uuid.Nil {
		return nil
	}
	reaped, err := m.store.Reap(ctx, judge, m.cfg.Lease, m.cfg.Grace)
	if err != nil {
		return err
	}
	if reaped.Next != nil && *reaped.Next < m.cfg.Tick {
		// A session runs out before the next tick: be there when it does.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(*reaped.Next + time.Millisecond):
		}
		return m.reap(ctx)
	}
	m.metrics.sessions.Add(float64(reaped.Sessions))
	if reaped.Sessions > 0 {
		m.log.Warn("workers were lost", "sessions", reaped.Sessions,
			"tasks_failed", reaped.Failed, "tasks_retried", len(reaped.Retried))
	}
	return m.index.IndexIn(ctx, reaped.Retried)
}
