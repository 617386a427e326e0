package maintenance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// pageSize is how many rows one step of a scan moves.
	pageSize = 1000
	// leaderTerm is how long a node leads without renewing it. It is renewed with
	// every page, and a node that stops is replaced after it.
	leaderTerm = 5 * time.Second
	// followTicks is how many ticks pass between two questions of a node that does not lead.
	followTicks = 3
	// overdueGrace is how overdue a task must be before its absence from the due index
	// is looked into: until then it is most likely being claimed.
	overdueGrace = time.Second
	// overduePages bounds one tick's look at a backlog.
	overduePages = 10
)

// overdueScan is what the leader remembers of the repair between ticks.
type overdueScan struct {
	// recent is up to where overdue tasks were looked at as they became overdue,
	// and backlog is where the look at all of them goes on, not before pause ends.
	recent, backlog task.Due
	pause           time.Time
}

// leadOrFollow is lead, once it is time for a node that does not lead to ask again.
func (m *Maintainer) leadOrFollow(ctx context.Context) error {
	if m.follow > 0 {
		m.follow--
		return nil
	}
	return m.lead(ctx)
}

// lead is one tick of the leader: it indexes what came within the horizon, and repairs
// the due index.
func (m *Maintainer) lead(ctx context.Context) error {
	m.countRevived()
	leads, built, err := m.index.Lead(ctx, m.self, leaderTerm, m.cfg.Horizon, time.Time{})
	m.leads.Store(err == nil && leads)
	if err != nil {
		return err
	}
	if !leads {
		m.follow = followTicks - 1
		return nil
	}
	now, err := m.store.Now(ctx)
	if err != nil {
		return err
	}
	if err := m.cascade(ctx, built, now); err != nil {
		return fmt.Errorf("cascade: %w", err)
	}
	// Neither of the two waits for the other.
	var failed error
	if err := m.repairOverdue(ctx, now); err != nil {
		failed = fmt.Errorf("repair overdue tasks: %w", err)
	}
	if err := m.countRooms(ctx); err != nil {
		failed = errors.Join(failed, fmt.Errorf("count what runs of limited types: %w", err))
	}
	return errors.Join(failed, m.auditIfDue(ctx, now))
}

// countRooms tells Redis how many tasks more may run of each type that has a max_running:
// the places of workers that died, and those that it was not told of, are free again.
func (m *Maintainer) countRooms(ctx context.Context) error {
	rooms, err := m.store.Rooms(ctx)
	if err != nil {
		return err
	}
	return m.index.RaiseRoom(ctx, rooms)
}

// countRevived counts the lapsed claims that this node's claims made due again.
func (m *Maintainer) countRevived() {
	if n := m.index.Revived(); n > 0 {
		m.metrics.moved.WithLabelValues(movedRevived).Add(float64(n))
		m.log.Info("lapsed claims are due again", "tasks", n)
	}
}

// dropLegacy removes the keys of older versions once none of their workers lives.
func (m *Maintainer) dropLegacy(ctx context.Context) error {
	if !m.leads.Load() {
		return nil
	}
	return m.index.DropLegacy(ctx, m.cfg.LegacyShards)
}

// cascade indexes what came within the horizon since the last tick, soonest first. If
// the index was lost, that is the whole window.
func (m *Maintainer) cascade(ctx context.Context, built, now time.Time) error {
	if built.IsZero() {
		m.log.Info("due index is built from the beginning")
	}
	start := time.Now()
	empty := false // Redis has nothing, so there is nothing stale either
	if built.IsZero() {
		types, err := m.index.Types(ctx)
		if err != nil {
			return err
		}
		empty = len(types) == 0
	}
	until := now.Add(m.cfg.Horizon).Truncate(time.Microsecond) // as exact as a report is
	after := task.Due{At: built, ID: uuid.Max}
	total := 0
	for {
		page, next, more, err := m.store.Window(ctx, after, until, pageSize)
		if err != nil {
			return err
		}
		added, err := m.index.Repair(ctx, page)
		if err != nil {
			return err
		}
		m.metrics.moved.WithLabelValues(movedCascade).Add(float64(added))
		total += len(page)
		indexedUntil := until
		if more {
			after = next
			// More may be due at this very moment.
			indexedUntil = after.At.Add(-time.Microsecond)
		}
		leads, reported, err := m.index.Lead(ctx, m.self, leaderTerm, m.cfg.Horizon, indexedUntil)
		if err != nil {
			return err
		}
		if !leads || !reported.Equal(indexedUntil) {
			// Another node leads, or did and came elsewhere, or Redis lost what was
			// indexed so far. The next tick begins where it must.
			return nil
		}
		if !more {
			break
		}
	}
	if built.IsZero() {
		m.log.Info("due index is built", "tasks", total, "seconds", time.Since(start).Seconds())
	}
	if !empty {
		return nil
	}
	run, err := m.index.RunID(ctx)
	if err != nil {
		return err
	}
	return m.index.NoteAudit(ctx, run) // it was one
}

// repairOverdue puts back what should have been claimed and is not in the due index. What became overdue since the last tick is looked at at each tick; and all
// that is overdue in turns, which take a tenth of the time: how many entries of the
// index have no row any more, and are passed over, nobody can bound while somebody
// holds an old snapshot.
func (m *Maintainer) repairOverdue(ctx context.Context, now time.Time) error {
	repaired := 0
	defer func() {
		m.metrics.moved.WithLabelValues(movedOverdue).Add(float64(repaired))
		if repaired > 0 {
			m.log.Info("overdue tasks were missing from the due index", "tasks", repaired)
		}
	}()
	until := now.Add(-overdueGrace)
	if m.overdue.recent.At.IsZero() || m.overdue.recent.At.After(until) {
		m.overdue.recent = task.Due{At: until}
	}
	n, more, err := m.repairFrom(ctx, &m.overdue.recent, until)
	repaired += n
	if err != nil {
		return err
	}
	if !more {
		// Of those that are due at this very moment more may be committed yet.
		m.overdue.recent = task.Due{At: until.Add(-time.Microsecond), ID: uuid.Max}
	}
	if time.Now().Before(m.overdue.pause) {
		return nil
	}
	start := time.Now()
	n, more, err = m.repairFrom(ctx, &m.overdue.backlog, until)
	repaired += n
	if err == nil && !more {
		m.overdue.backlog = task.Due{}
	}
	m.overdue.pause = time.Now().Add(9 * time.Since(start))
	return err
}

// repairFrom looks at some pages of overdue tasks from a point on, which it moves,
// and returns how many it put back and whether there are more.
func (m *Maintainer) repairFrom(ctx context.Context, from *task.Due, until time.Time) (repaired int, more bool, err error) {
	for range overduePages {
		var page []task.Due
		var next task.Due
		if page, next, more, err = m.store.Window(ctx, *from, until, pageSize); err != nil {
			return repaired, more, err
		}
		n, err := m.index.Repair(ctx, page)
		if err != nil {
			return repaired, more, err
		}
		repaired += n
		if *from = next; !more {
			break
		}
	}
	return repaired, more, nil
}
