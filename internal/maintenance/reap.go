package maintenance

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// quietTicks bound how long nobody is looked for. It is less than the least lease and the
// grace together: a session that opens meanwhile is not dead within it.
const quietTicks = 4

// reapWhenDue is reap, once a session can be dead.
func (m *Maintainer) reapWhenDue(ctx context.Context) error {
	if time.Now().Before(m.quiet) {
		return nil
	}
	return m.reap(ctx)
}

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
	if reaped.Next != nil {
		m.quiet = time.Now().Add(min(*reaped.Next-m.cfg.Tick, quietTicks*m.cfg.Tick))
	}
	m.metrics.sessions.Add(float64(reaped.Sessions))
	if reaped.Sessions > 0 {
		m.log.Warn("workers were lost", "sessions", reaped.Sessions,
			"tasks_failed", reaped.Failed, "tasks_retried", len(reaped.Retried))
	}
	return m.index.IndexIn(ctx, reaped.Retried)
}
