package worker

import (
	"encoding/json"

	"github.com/timewheel/timewheel/internal/failpoint"
	"github.com/timewheel/timewheel/internal/task"
)

// ending is one attempt's end on its way to Postgres.
type ending struct {
	attempt *attempt
	end     task.Finish
	slots   int // to give back when it is committed
}

// finish hands the end of an attempt to the commit (T3), which is one statement
// with all others that end at this time. Nobody waits for it; the slot does.
func (w *Worker) finish(a *attempt, slots int, result json.RawMessage, failure *task.Failure) {
	end := task.Finish{ID: a.task.ID, Attempt: a.task.Attempt, Result: result, Failure: failure}
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
		w.flushSession(s, rest[:n])
		rest = rest[n:]
	}
	answer(nil, nil)
}

// flushSession goes on trying for as long as the session lives.
func (w *Worker) flushSession(s *session, endings []ending) {
	defer func() {
		slots := 0
		for i := range endings {
			slots += endings[i].slots
		}
		w.slots.give(slots)
		w.tasks.Add(-len(endings))
	}()
	ends := make([]task.Finish, len(endings))
	for i := range endings {
		ends[i] = endings[i].end
	}
	closed := s.receipts.takeClosed()
	finished, err := w.store.Finish(s.ctx, s.id, ends, closed)
	if err != nil {
		s.receipts.putBack(closed)
		for i := range endings {
			w.log.Warn("end of a task was not recorded", "task_id", endings[i].end.ID, "error", err)
		}
		return
	}
	failpoint.Hit(failpoint.Finished)
	w.finished(s, endings, finished)
}

// finished notes ends that are committed.
func (w *Worker) finished(s *session, endings []ending, finished []task.Finished) {
	var again []task.Wait
	for i, f := range finished {
		e := &endings[i]
		if r := e.attempt.run; r.open.Add(-1) == 0 && r.once {
			s.receipts.close(r.seq)
		}
		w.metrics.finished(e.attempt.task.Type, f.Status, e.end.Failure)
		if f.Status == "" {
			w.log.Warn("late_result", "task_id", e.end.ID, "attempt", e.end.Attempt)
		}
		if f.Status == task.Submitted {
			again = append(again, task.Wait{ID: e.end.ID, In: f.In})
		}
	}
	if len(again) > 0 {
		if err := w.ring.IndexIn(s.ctx, again); err != nil {
			w.log.Warn("retried tasks are not indexed yet", "tasks", len(again), "error", err)
		}
	}
}
