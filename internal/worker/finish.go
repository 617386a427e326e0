package worker

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

// firstEndPause and maxEndPause bound the pauses before ends are tried again.
const firstEndPause, maxEndPause = 50 * time.Millisecond, 5 * time.Second

// ending is one attempt's end on its way to Postgres.
type ending struct {
	attempt *attempt
	end     task.Finish
	slots   int // to give back when it is committed
}

// finish hands the end of an attempt to the commit (T3), which is one statement
// with all others that end at this time. Nobody waits for it; the slot does.
func (w *Worker) finish(a *attempt, slots int, result json.RawMessage, failure *task.Failure) {
	end := task.Finish{ID: a.task.ID, Attempt: a.task.Attempt, Result: result, Failure: failure, Counted: a.run.counted}
	w.metrics.endsWaiting.Inc()
	w.finishes.Put(ending{a, end, slots})
}

// flushEndings is one flush of the group commit of ends. They belong to one
// session, but for the moment after it was lost.
func (w *Worker) flushEndings(endings []ending, answer func([]struct{}, error)) {
	for rest := endings; len(rest) > 0; {
		s, n := rest[0].attempt.run.session, 1
		for n < len(rest) && rest[n].attempt.run.session == s {
			n++
		}
		w.commitEnds(s, rest[:n], 0)
		rest = rest[n:]
	}
	answer(nil, nil)
}

// commitEnds commits ends that failed so many times before. An end is never
// dropped while its session lives, whatever the error: what fails is tried again,
// in halves, so that one end that cannot be written parts from its neighbours.
func (w *Worker) commitEnds(s *session, endings []ending, failures int) {
	ends := make([]task.Finish, len(endings))
	for i := range endings {
		ends[i] = endings[i].end
	}
	closed := s.receipts.takeClosed()
	finished, err := w.store.Finish(s.ctx, s.id, ends, closed, failures == 0)
	switch {
	case err == nil:
		failpoint.Hit(failpoint.Finished)
		w.endsCommitted(s, endings, finished, failures)
	case s.ctx.Err() != nil:
		w.log.Warn("ends of tasks were not recorded, their session is over", "session", s.id, "tasks", len(endings))
		for i := range endings {
			endings[i].attempt.endSpan(unrecorded)
		}
		w.releaseEnds(endings)
	default:
		s.receipts.putBack(closed)
		w.log.Warn("ends of tasks are tried again", "tasks", len(endings), "failures", failures+1, "error", err)
		half := len(endings) / 2
		w.retryLater(s, endings[:half], failures+1)
		w.retryLater(s, endings[half:], failures+1)
	}
}

// retryLater commits ends after a pause that grows with their failures.
func (w *Worker) retryLater(s *session, endings []ending, failures int) {
	if len(endings) == 0 {
		return
	}
	w.metrics.endsRetried.Add(float64(len(endings)))
	pause := min(firstEndPause<<min(failures-1, 10), maxEndPause)
	go func() {
		sleep(s.ctx, pause/2+rand.N(pause))
		w.retries <- struct{}{}
		defer func() { <-w.retries }()
		w.commitEnds(s, endings, failures)
	}()
}

// endsCommitted notes ends that are committed, and tries again those whose row was
// locked.
func (w *Worker) endsCommitted(s *session, endings []ending, finished []task.Finished, failures int) {
	var again []task.DueIn
	var locked []ending
	done := endings[:0]
	places := map[string]int{} // of limited types that are free again
	for i, f := range finished {
		e := endings[i]
		if f.Err != nil {
			w.log.Warn("end of a task is tried again", "task_id", e.end.ID, "failures", failures+1, "error", f.Err)
			locked = append(locked, e)
			continue
		}
		done = append(done, e)
		if r := e.attempt.run; r.open.Add(-1) == 0 {
			s.receipts.close(r.seq, r.retried)
		}
		became := outcome(f.Status, e.end.Failure)
		w.metrics.finished(e.attempt.task.Type, became)
		e.attempt.endSpan(became)
		if f.Status == "" {
			w.log.Warn("late_result", "task_id", e.end.ID, "attempt", e.end.Attempt)
		}
		if e.attempt.run.counted && f.Status != "" {
			places[e.attempt.task.Type]++
		}
		if f.Status == task.Submitted {
			again = append(again, task.DueIn{ID: e.end.ID, Type: e.attempt.task.Type, Delay: f.Delay})
		}
	}
	w.retryLater(s, locked, failures+1)
	if len(places) > 0 {
		w.tasks.Go(func() { w.addRoom(places) })
	}
	if len(again) > 0 {
		// Redis may be silent, and the next ends do not wait for it.
		w.tasks.Go(func() { w.indexRetried(s, again) })
	}
	w.releaseEnds(done)
}

// indexRetried makes tasks due that failed and may be attempted again. Should it
// fail, the repair finds them once they are overdue.
func (w *Worker) indexRetried(s *session, again []task.DueIn) {
	ctx, cancel := context.WithTimeout(s.ctx, exitTimeout)
	defer cancel()
	if err := w.index.IndexIn(ctx, again); err != nil {
		w.log.Warn("retried tasks are not indexed yet", "tasks", len(again), "error", err)
	}
}

// releaseEnds gives back what ends held while they were on their way.
func (w *Worker) releaseEnds(endings []ending) {
	given := map[string]int{}
	for i := range endings {
		given[endings[i].attempt.task.Type] += endings[i].slots
	}
	for name, n := range given {
		w.slots.give(name, n)
	}
	w.metrics.endsWaiting.Sub(float64(len(endings)))
	w.tasks.Add(-len(endings))
}
