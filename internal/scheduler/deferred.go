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
	// maxDeferred bounds what is remembered while Redis fails, for each kind of update.
	// What goes beyond is found by the repair once it is overdue, or by the audit.
	maxDeferred = 100_000
	// deferredTimeout bounds one try to apply what was deferred.
	deferredTimeout = 5 * time.Second
)

// indexUpdate is what the due index in Redis has to learn. No id is indexed again
// after it was removed, so removals are applied last.
type indexUpdate struct {
	upserts  []task.Due
	removals []task.Ref
}

func (u indexUpdate) empty() bool { return len(u.upserts) == 0 && len(u.removals) == 0 }

// deferred holds the updates that Redis did not take. While it holds any, Redis is
// degraded: later updates are added to it without a call, so that the creates of a burst
// do not each wait for Redis. It is tried again every redisRetryInterval.
type deferred struct {
	mu       sync.Mutex
	degraded bool
	pending  indexUpdate
}

// addIfDegraded keeps an update for later if Redis is degraded, and reports that.
func (d *deferred) addIfDegraded(u indexUpdate) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.degraded {
		d.add(u)
	}
	return d.degraded
}

// failed keeps an update that Redis did not take. It reports whether Redis becomes
// degraded by that: then the caller schedules the next try.
func (d *deferred) failed(u indexUpdate) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.degraded
	d.degraded = true
	d.add(u)
	return first
}

func (d *deferred) add(u indexUpdate) {
	p := &d.pending
	p.upserts = append(p.upserts, u.upserts[:min(len(u.upserts), maxDeferred-len(p.upserts))]...)
	p.removals = append(p.removals, u.removals[:min(len(u.removals), maxDeferred-len(p.removals))]...)
}

// take returns all that is pending. With nothing pending, Redis is no longer degraded.
func (d *deferred) take() indexUpdate {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.pending
	d.pending = indexUpdate{}
	d.degraded = !u.empty()
	return u
}

// applyOrDefer updates the due index, or keeps the update for later if Redis fails or
// is degraded. Should this process end before that, the repair and the audit make up
// for it.
func (s *Scheduler) applyOrDefer(ctx context.Context, u indexUpdate) {
	if s.deferred.addIfDegraded(u) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()
	if err := s.apply(ctx, u); err != nil {
		s.log.Warn("redis is updated later", "created", len(u.upserts), "deleted", len(u.removals), "error", err)
		if s.deferred.failed(u) {
			time.AfterFunc(redisRetryInterval, s.applyDeferred)
		}
	}
}

func (s *Scheduler) apply(ctx context.Context, u indexUpdate) (err error) {
	if len(u.upserts) > 0 {
		err = s.index.Index(ctx, u.upserts)
	}
	if len(u.removals) > 0 {
		err = errors.Join(err, s.index.Remove(ctx, u.removals))
	}
	return err
}

// Close applies what was deferred, before the process ends. Within the time of ctx it
// is tried once. What the error tells of is found by the repair and the audit.
func (s *Scheduler) Close(ctx context.Context) error {
	u := s.deferred.take()
	if u.empty() {
		return nil
	}
	if err := s.apply(ctx, u); err != nil {
		return fmt.Errorf("index %d created and remove %d deleted tasks: %w", len(u.upserts), len(u.removals), err)
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
		err := s.apply(ctx, u)
		cancel()
		if err != nil {
			s.deferred.failed(u)
			time.AfterFunc(redisRetryInterval, s.applyDeferred)
			return
		}
		s.log.Info("redis was updated late", "created", len(u.upserts), "deleted", len(u.removals))
	}
}
