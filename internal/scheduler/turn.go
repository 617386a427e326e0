package scheduler

import (
	"context"
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
	runID     string    // the run of Redis that was audited last
	nextAudit time.Time // by the node's monotonic clock
	// overdue is where the look at a long backlog goes on.
	overdue task.Due
}

// turn is one tick of the node that may turn the wheel: it moves what came
// within the horizon to the inner ring, and repairs the ring.
func (k *Keeper) turn(ctx context.Context) error {
	granted, built, err := k.ring.Turn(ctx, k.self, turnTerm, k.cfg.Horizon, time.Time{})
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
	if err := k.repairOverdue(ctx, now); err != nil {
		return fmt.Errorf("repair overdue tasks: %w", err)
	}
	run, err := k.ring.RunID(ctx)
	if err != nil {
		return err
	}
	due, err := k.auditDue(ctx, run, now)
	if err != nil || !due {
		return err
	}
	if err := k.audit(ctx, now); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	k.wheel.runID, k.wheel.nextAudit = run, time.Now().Add(k.cfg.Audit)
	return nil
}

// cascade indexes what came within the horizon since the wheel was last turned,
// soonest first. If the wheel was lost, that is the whole window.
func (k *Keeper) cascade(ctx context.Context, built, now time.Time) error {
	if built.IsZero() {
		k.log.Info("inner ring is built from the beginning")
	}
	start := time.Now()
	until := now.Add(k.cfg.Horizon).Truncate(time.Microsecond) // as exact as a report is
	after := task.Due{At: built, ID: uuid.Max}
	total := 0
	for {
		page, err := k.store.Window(ctx, after, until, pageSize)
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
		if len(page) == pageSize {
			after = page[len(page)-1]
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
		if len(page) < pageSize {
			break
		}
	}
	if built.IsZero() {
		k.log.Info("inner ring is built", "tasks", total, "seconds", time.Since(start).Seconds())
	}
	return nil
}

// repairOverdue puts back what should have been claimed and is nowhere in the
// ring. A long backlog is looked at in turns.
func (k *Keeper) repairOverdue(ctx context.Context, now time.Time) error {
	repaired := 0
	defer func() {
		k.metrics.moved.WithLabelValues(movedOverdue).Add(float64(repaired))
		if repaired > 0 {
			k.log.Info("overdue tasks were missing from the inner ring", "tasks", repaired)
		}
	}()
	for range overduePages {
		page, err := k.store.Window(ctx, k.wheel.overdue, now.Add(-overdueGrace), pageSize)
		if err != nil {
			return err
		}
		n, err := k.ring.Repair(ctx, page)
		if err != nil {
			return err
		}
		repaired += n
		if len(page) < pageSize {
			k.wheel.overdue = task.Due{}
			return nil
		}
		k.wheel.overdue = page[len(page)-1]
	}
	return nil
}
