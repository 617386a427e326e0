package maintenance

import (
	"context"
	"errors"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// The size of the due index is looked at every sizePace ticks if there are more than
// fewTypes: it is a command per type.
const sizePace, fewTypes = 10, 8

var errNotLeader = errors.New("another node leads")

// auditIfDue begins an audit beside the ticks, if one is due: at a slow pace, and at
// once when Redis was restarted (it may hold an older state) or when the index is
// empty although tasks are ahead. Which run of Redis was audited, and when, stands in
// Redis: a node that takes over does not begin again.
func (m *Maintainer) auditIfDue(ctx context.Context, now time.Time) error {
	if m.auditing.Load() {
		return nil
	}
	run, err := m.index.RunID(ctx)
	if err != nil {
		return err
	}
	due, err := m.auditDue(ctx, run, now)
	if err != nil || !due {
		return err
	}
	m.auditing.Store(true)
	m.audits.Go(func() {
		defer m.auditing.Store(false)
		if err := m.audit(ctx, run); err != nil && ctx.Err() == nil && !errors.Is(err, errNotLeader) {
			m.metrics.failures.WithLabelValues("audit").Inc()
			m.log.Warn("audit of the due index fails", "error", err)
		}
	})
	return nil
}

func (m *Maintainer) auditDue(ctx context.Context, run string, now time.Time) (bool, error) {
	empty, err := m.measure(ctx)
	if err != nil {
		return false, err
	}
	audited, ago, err := m.index.LastAudit(ctx)
	if err != nil || audited != run || ago >= m.cfg.Audit {
		return err == nil, err
	}
	if !empty {
		return false, nil
	}
	ahead, _, _, err := m.store.Window(ctx, task.Due{At: now}, now.Add(m.cfg.Horizon), 1)
	return len(ahead) > 0, err
}

// measure looks at the size of the due index, and reports whether it is empty.
func (m *Maintainer) measure(ctx context.Context) (empty bool, err error) {
	types, err := m.index.Types(ctx)
	if err != nil || len(types) > fewTypes && time.Since(m.sized) < sizePace*m.cfg.Tick {
		return false, err
	}
	m.sized = time.Now()
	size, err := m.index.Size(ctx, types)
	m.metrics.ring.Set(float64(size))
	return size == 0, err
}

// audit makes the due index equal to the window of Postgres. It drops
// first: what stands in Redis was committed before, so if Postgres does not
// know it as submitted now, it is stale.
func (m *Maintainer) audit(ctx context.Context, run string) error {
	now, err := m.store.Now(ctx)
	if err != nil {
		return err
	}
	stale, err := m.dropStale(ctx)
	if err != nil {
		return err
	}
	missing := 0
	for after, more := (task.Due{}), true; more; {
		var page []task.Due
		if page, after, more, err = m.store.Window(ctx, after, now.Add(m.cfg.Horizon), pageSize); err != nil {
			return err
		}
		n, err := m.index.Repair(ctx, page)
		if err != nil {
			return err
		}
		missing += n
		if err := m.renewLead(ctx); err != nil {
			return err
		}
	}
	m.metrics.moved.WithLabelValues(movedStale).Add(float64(stale))
	m.metrics.moved.WithLabelValues(movedMissing).Add(float64(missing))
	if stale > 0 || missing > 0 {
		m.log.Info("due index was repaired", "stale", stale, "missing", missing)
	}
	return m.index.NoteAudit(ctx, run)
}

// renewLead renews the leader's term, which an audit outlasts.
func (m *Maintainer) renewLead(ctx context.Context) error {
	leads, _, err := m.index.Lead(ctx, m.self, leaderTerm, m.cfg.Horizon, time.Time{})
	if err == nil && !leads {
		err = errNotLeader
	}
	return err
}

func (m *Maintainer) dropStale(ctx context.Context) (dropped int, err error) {
	types, err := m.index.Types(ctx)
	for _, name := range types {
		if err != nil {
			break
		}
		err = m.index.Scan(ctx, name, func(ids []task.ID) error {
			stale, err := m.staleOf(ctx, name, ids)
			dropped += len(stale)
			return errors.Join(err, m.index.Remove(ctx, stale))
		})
	}
	return dropped, err
}

// staleOf picks those tasks of a ring that Postgres does not know as submitted and of
// that type.
func (m *Maintainer) staleOf(ctx context.Context, taskType string, ids []task.ID) (stale []task.Ref, err error) {
	if err := m.renewLead(ctx); err != nil {
		return nil, err
	}
	waiting, err := m.store.Submitted(ctx, ids)
	if err != nil {
		return nil, err
	}
	waits := make(map[task.ID]bool, len(waiting))
	for _, w := range waiting {
		waits[w.ID] = w.Type == taskType
	}
	for _, id := range ids {
		if !waits[id] {
			stale = append(stale, task.Ref{ID: id, Type: taskType})
		}
	}
	return stale, nil
}
