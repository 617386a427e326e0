package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// cancelsPace is how often a worker that runs something looks for what it is to cancel. A
	// message comes sooner, and this is what its loss can cost.
	cancelsPace = time.Second
	// cancelsSoon is when it looks again if a handler is about to be called, or an
	// end about to be committed.
	cancelsSoon = 100 * time.Millisecond
)

var errCancelled = errors.New("a client cancelled the task")

// running are the batches of which a handler has not returned. To add and to remove one costs the
// same for one task as for a thousand.
type running struct {
	mu      sync.Mutex
	batches map[*batch]struct{}
}

func (r *running) add(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.batches == nil {
		r.batches = map[*batch]struct{}{}
	}
	r.batches[b] = struct{}{}
}

func (r *running) remove(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.batches, b)
}

// find looks through all that runs in a session for the attempts of tasks.
func (r *running) find(s *session, ids []task.ID) (found []*attempt) {
	wanted := make(map[task.ID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := range r.batches {
		if b.run.session != s {
			continue
		}
		for i := range b.attempts {
			if a := &b.attempts[i]; wanted[a.task.ID] {
				found = append(found, a)
			}
		}
	}
	return found
}

// cancelRequested takes what wheel.Wake calls with.
func (w *Worker) cancelRequested(session string) {
	if w.Session().String() != session {
		return
	}
	select {
	case w.cancels <- struct{}{}:
	default:
	}
}

// watchCancels cancels what it is to, until ctx ends. What that is stands in Postgres; a message
// says no more than that there is something.
func (w *Worker) watchCancels(ctx context.Context) {
	for wait := cancelsPace; ctx.Err() == nil; {
		sleep(ctx, wait, w.cancels)
		wait = cancelsPace
		if w.slots.inUse() > 0 && !w.cancelOnce(ctx) {
			wait = cancelsSoon
		}
	}
}

// cancelOnce is false if something is to be cancelled that no handler has in hand.
func (w *Worker) cancelOnce(ctx context.Context) bool {
	ctx, stop := context.WithTimeout(ctx, w.renewTimeout())
	defer stop()
	s := w.session.current()
	ids, err := w.store.Cancels(ctx, s.id)
	if err != nil {
		w.log.Debug("what is to be cancelled is looked for later", "error", err)
		return true
	}
	if len(ids) == 0 {
		return true
	}
	found := w.running.find(s, ids)
	for _, a := range found {
		w.cancel(a)
	}
	return len(found) == len(ids)
}

// cancel ends the context of an attempt, unless it has ended or was cancelled before.
func (w *Worker) cancel(a *attempt) {
	a.batch.mu.Lock()
	defer a.batch.mu.Unlock()
	if a.ended.Load() || !a.cancelledAt.IsZero() {
		return
	}
	w.log.Info("task is cancelled", "task_id", a.task.ID, "task_type", a.task.Type)
	a.cancelledAt = time.Now()
	a.ctx.cancel(errCancelled)
	if a.batch.abandon.Stop() {
		w.setTimer(a.batch)
	}
}
