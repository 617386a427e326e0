package scheduler

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
	// turnTerm is how long the right to turn the wheel lasts. It is renewed
	// with every page, and a node that stops is replaced after it.
	turnTerm = 5 * time.Second
	// overdueGrace is how overdue a task must be before its absence from the
	// inner ring is looked into: until then it is most likely being claimed.
	overdueGrace = time.Second
	// overduePages bounds one tick's look at a backlog.
	overduePages = 10
)

// wheelState is what a node remembers between ticks.
type wheelState struct {
	// recent is up to where overdue tasks were looked at as they became overdue,
	// and backlog is where the look at all of them goes on, not before pause ends.
	recent, backlog task.Due
	pause           time.Time
}

// turn is one tick of the node that may turn the wheel: it moves what came
// within the horizon to the inner ring, and repairs the ring.
func (k *Keeper) turn(ctx context.Context) error {
	granted, built, err := k.ring.Turn(ctx, k.self, turnTerm, k.cfg.Horizon, time.Time{})
	k.leads.Store(err == nil && granted)
	if err != nil || !granted {
		return err
	}
	now, err := k.store.Now(ctx)
	if err != nil {
		return err
	}
	if err := k.cascade(ctx, built, now); err != nil {
		return fmt.Errorf("cascade: %w", err)
	}
	// Neither of the two waits for the other.
	var failed error
	if err := k.repairOverdue(ctx, now); err != nil {
		failed = fmt.Errorf("repair overdue tasks: %w", err)
	}
	return errors.Join(failed, k.auditIfDue(ctx, now))
}

// cascade indexes what came within the horizon since the wheel was last turned,
// soonest first. If the wheel was lost, that is the whole window.
func (k *Keeper) cascade(ctx context.Context, built, now time.Time) error {
	if built.IsZero() {
		k.log.Info("inner ring is built from the beginning")
	}
	start := time.Now()
	empty := false // Redis has nothing, so there is nothing stale either
	if built.IsZero() {
		size, err := k.ring.Size(ctx)
		if err != nil {
			return err
		}
		empty = size == 0
	}
	until := now.Add(k.cfg.Horizon).Truncate(time.Microsecond) // as exact as a report is
	after := task.Due{At: built, ID: uuid.Max}
	total := 0
	for {
		page, next, more, err := k.store.Window(ctx, after, until, pageSize)
		if err != nil {
			return err
		}
		added, err := k.ring.Repair(ctx, page)
		if err != nil {
			return err
		}
		k.metrics.moved.WithLabelValues(movedCascade).Add(float64(added))
		total += len(page)
		frontier := until
		if more {
			after = next
			// More may be due at this very moment.
			frontier = after.At.Add(-time.Microsecond)
		}
		granted, reported, err := k.ring.Turn(ctx, k.self, turnTerm, k.cfg.Horizon, frontier)
		if err != nil {
			return err
		}
		if !granted || !reported.Equal(frontier) {
			// Another node turns the wheel, or did and came elsewhere, or Redis
			// lost what was indexed so far. The next tick begins where it must.
			return nil
		}
		if !more {
			break
		}
	}
	if built.IsZero() {
		k.log.Info("inner ring is built", "tasks", total, "seconds", time.Since(start).Seconds())
	}
	if !empty {
		return nil
	}
	run, err := k.ring.RunID(ctx)
	if err != nil {
		return err
	}
	return k.ring.NoteAudit(ctx, run) // it was one
}

// repairOverdue puts back what should have been claimed and is nowhere in the
// ring. What became overdue since the last tick is looked at at each tick; and all
// that is overdue in turns, which take a tenth of the time: how many entries of the
// index have no row any more, and are passed over, nobody can bound while somebody
// holds an old snapshot.
func (k *Keeper) repairOverdue(ctx context.Context, now time.Time) error {
	repaired := 0
	defer func() {
		k.metrics.moved.WithLabelValues(movedOverdue).Add(float64(repaired))
		if repaired > 0 {
			k.log.Info("overdue tasks were missing from the inner ring", "tasks", repaired)
		}
	}()
	until := now.Add(-overdueGrace)
	if k.wheel.recent.At.IsZero() || k.wheel.recent.At.After(until) {
		k.wheel.recent = task.Due{At: until}
	}
	n, more, err := k.repairFrom(ctx, &k.wheel.recent, until)
	repaired += n
	if err != nil {
		return err
	}
	if !more {
		// Of those that are due at this very moment more may be committed yet.
		k.wheel.recent = task.Due{At: until.Add(-time.Microsecond), ID: uuid.Max}
	}
	if time.Now().Before(k.wheel.pause) {
		return nil
	}
	start := time.Now()
	n, more, err = k.repairFrom(ctx, &k.wheel.backlog, until)
	repaired += n
	if err == nil && !more {
		k.wheel.backlog = task.Due{}
	}
	k.wheel.pause = time.Now().Add(9 * time.Since(start))
	return err
}

// repairFrom looks at some pages of overdue tasks from a point on, which it moves,
// and returns how many it put back and whether there are more.
func (k *Keeper) repairFrom(ctx context.Context, from *task.Due, until time.Time) (repaired int, more bool, err error) {
	for range overduePages {
		var page []task.Due
		var next task.Due
		if page, next, more, err = k.store.Window(ctx, *from, until, pageSize); err != nil {
			return repaired, more, err
		}
		n, err := k.ring.Repair(ctx, page)
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
