package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxDeferred bounds how many tasks are remembered while Redis fails. What goes beyond
	// is found by the repair once it is overdue, or by the audit.
	maxDeferred = 200_000
	// deferredTimeout bounds one try to apply what was deferred.
	deferredTimeout = 5 * time.Second
)

// indexUpdate is what the due index in Redis has to learn. It names no task twice.
type indexUpdate struct {
	upserts  []task.Due
	removals []task.Ref
}

func (u indexUpdate) empty() bool { return len(u.upserts) == 0 && len(u.removals) == 0 }

// split parts an update by whether something holds for a type.
func (u indexUpdate) split(holds func(taskType string) bool) (with, without indexUpdate) {
	for _, d := range u.upserts {
		to := &without
		if holds(d.Type) {
			to = &with
		}
		to.upserts = append(to.upserts, d)
	}
	for _, r := range u.removals {
		to := &without
		if holds(r.Type) {
			to = &with
		}
		to.removals = append(to.removals, r)
	}
	return with, without
}

// unreached is the part of an update that an error says was not taken: all of it, unless
// some servers of a cluster took theirs.
func (u indexUpdate) unreached(err error) (part indexUpdate, types []string) {
	some, ok := errors.AsType[*task.UnreachedError](err)
	if !ok {
		return u, []string{everyType}
	}
	part, _ = u.split(func(name string) bool { return slices.Contains(some.Types, name) })
	return part, some.Types
}

// everyType stands for all types in what is degraded.
const everyType = ""

// deferred holds the updates that Redis did not take. While it holds any of a type, that
// type is degraded: later updates are added to it without a call, so that the creates of a
// burst do not each wait for Redis. It is tried again every redisRetryInterval.
type deferred struct {
	mu       sync.Mutex
	degraded map[string]bool
	pending  []entry
	// at is where each task is in pending. One that is moved has another time each time,
	// and the newest holds.
	at map[task.ID]int
}

// entry is what the due index has to learn of one task: when it is due, or that it is not to be
// there.
type entry struct {
	task.Due
	removal bool
}

func (u indexUpdate) each(do func(entry)) {
	for _, d := range u.upserts {
		do(entry{Due: d})
	}
	for _, r := range u.removals {
		do(entry{Due: task.Due{ID: r.ID, Type: r.Type}, removal: true})
	}
}

// keep takes from an update what is degraded, for later, and returns the rest.
func (d *deferred) keep(u indexUpdate) (rest indexUpdate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case len(d.degraded) == 0:
		return u
	case d.degraded[everyType]:
		d.add(u)
		return rest
	}
	later, rest := u.split(func(name string) bool { return d.degraded[name] })
	d.add(later)
	return rest
}

// failed keeps an update that Redis did not take, of types that are degraded from now on.
// It reports whether nothing was before: then the caller schedules the next try.
func (d *deferred) failed(u indexUpdate, types []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := len(d.degraded) == 0 && len(types) > 0
	for _, name := range types {
		if d.degraded == nil {
			d.degraded = map[string]bool{}
		}
		d.degraded[name] = true
	}
	d.add(u)
	return first
}

// failedAgain keeps what Redis did not take of all that was pending, but for what is known
// better by now. Only its types are degraded from now on: the others were taken.
func (d *deferred) failedAgain(u indexUpdate, types []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.degraded = map[string]bool{}
	for _, name := range types {
		d.degraded[name] = true
	}
	u.each(func(e entry) {
		if _, newer := d.at[e.ID]; !newer {
			d.put(e)
		}
	})
}

func (d *deferred) add(u indexUpdate) { u.each(d.put) }

func (d *deferred) put(e entry) {
	if i, known := d.at[e.ID]; known {
		d.pending[i] = e
	} else if len(d.pending) < maxDeferred {
		if d.at == nil {
			d.at = map[task.ID]int{}
		}
		d.at[e.ID] = len(d.pending)
		d.pending = append(d.pending, e)
	}
}

// take returns all that is pending. With nothing pending, nothing is degraded any more.
func (d *deferred) take() indexUpdate {
	d.mu.Lock()
	defer d.mu.Unlock()
	var u indexUpdate
	for _, e := range d.pending {
		if e.removal {
			u.removals = append(u.removals, task.Ref{ID: e.ID, Type: e.Type})
		} else {
			u.upserts = append(u.upserts, e.Due)
		}
	}
	d.pending, d.at = nil, nil
	if u.empty() {
		d.degraded = nil
	}
	return u
}

// applyOrDefer updates the due index, or keeps for later what Redis does not take, or is
// degraded. Should this process end before that, the repair and the audit make up
// for it.
func (s *Scheduler) applyOrDefer(ctx context.Context, u indexUpdate) {
	if u = s.deferred.keep(u); u.empty() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if left, types, err := s.apply(ctx, u); err != nil {
		s.log.Warn("redis is updated later", "indexed", len(left.upserts), "removed", len(left.removals), "error", err)
		if s.deferred.failed(left, types) {
			time.AfterFunc(redisRetryInterval, s.applyDeferred)
		}
	}
}

// apply updates the due index. Left is what was not taken, of these types.
func (s *Scheduler) apply(ctx context.Context, u indexUpdate) (left indexUpdate, types []string, err error) {
	upserts, removals := indexUpdate{upserts: u.upserts}, indexUpdate{removals: u.removals}
	if len(u.upserts) > 0 {
		if err = s.index.Index(ctx, u.upserts); err != nil {
			left, types = upserts.unreached(err)
		}
	}
	if len(u.removals) > 0 {
		if removeErr := s.index.Remove(ctx, u.removals); removeErr != nil {
			part, more := removals.unreached(removeErr)
			left.removals, types, err = part.removals, append(types, more...), errors.Join(err, removeErr)
		}
	}
	return left, types, err
}

// Close applies what was deferred, before the process ends. Within the time of ctx it
// is tried once. What the error tells of is found by the repair and the audit.
func (s *Scheduler) Close(ctx context.Context) error {
	u := s.deferred.take()
	if u.empty() {
		return nil
	}
	if _, _, err := s.apply(ctx, u); err != nil {
		return fmt.Errorf("index %d tasks and remove %d: %w", len(u.upserts), len(u.removals), err)
	}
	return nil
}

// applyDeferred applies what was deferred until nothing is pending, or schedules the
// next try.
func (s *Scheduler) applyDeferred() {
	for u := s.deferred.take(); !u.empty(); u = s.deferred.take() {
		// Soonest first: most of them may be late already.
		slices.SortFunc(u.upserts, func(a, b task.Due) int { return a.At.Compare(b.At) })
		ctx, cancel := context.WithTimeout(context.Background(), deferredTimeout)
		left, types, err := s.apply(ctx, u)
		cancel()
		if err != nil {
			s.deferred.failedAgain(left, types)
			time.AfterFunc(redisRetryInterval, s.applyDeferred)
			return
		}
		s.log.Info("redis was updated late", "indexed", len(u.upserts), "removed", len(u.removals))
	}
}
