package maintenance

import "context"

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
