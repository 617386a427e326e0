package maintenance

import (
	"context"
	"time"
)

// The loops, one round of each.

// Lead is one tick, and the audit that it may have begun.
func (m *Maintainer) Lead(ctx context.Context) error {
	err := m.lead(ctx)
	m.audits.Wait()
	return err
}

func (m *Maintainer) Reap(ctx context.Context) error   { return m.reap(ctx) }
func (m *Maintainer) Retain(ctx context.Context) error { return m.retain(ctx) }

// What the tests reckon with.
const (
	PageSize     = pageSize
	LeaderTerm   = leaderTerm
	OverduePages = overduePages
)

// MakeOnce is a tick of the maker on a node that leads.
func (m *Maintainer) MakeOnce(ctx context.Context) error {
	m.leads.Store(true)
	return m.makeWhenLeading(ctx)
}

// LookAtBacklog is a tick of the look at the backlog.
func (m *Maintainer) LookAtBacklog(ctx context.Context) error { return m.lookAtBacklog(ctx) }

// AgeBacklog makes the last look older.
func (m *Maintainer) AgeBacklog(by time.Duration) {
	m.backlog.mu.Lock()
	defer m.backlog.mu.Unlock()
	m.backlog.at = m.backlog.at.Add(-by)
	m.nextLook = m.nextLook.Add(-by)
}

// OperateOnce carries out all operations, on a node that leads.
func (m *Maintainer) OperateOnce(ctx context.Context) error {
	m.leads.Store(true)
	return m.operateWhenLeading(ctx)
}
