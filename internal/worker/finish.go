package worker

import (
	"context"
	"encoding/json"

	"github.com/timewheel/timewheel/internal/failpoint"
	"github.com/timewheel/timewheel/internal/task"
)

// ending is one attempt's end on its way to Postgres.
type ending struct {
	session *session
	seq     int64
	task    *task.Task
	end     task.Finish
}

// finish commits the end of an attempt (T3), in one statement with all others
// that end at this time. It goes on trying for as long as the session lives.
func (w *Worker) finish(s *session, seq int64, t *task.Task, result json.RawMessage, failure *task.Failure) {
	e := ending{s, seq, t, task.Finish{ID: t.ID, Attempt: t.Attempt, Result: result, Failure: failure}}
	// The wait has no end of its own, and the flush ends with the session.
	if _, err := w.finishes.Do(context.Background(), e); err != nil {
		w.log.Warn("end of a task was not recorded", "task_id", t.ID, "error", err)
	}
}

// flushEndings is one flush of the group commit of ends. They belong to one
// session, but for the moment after it was lost.
func (w *Worker) flushEndings(endings []ending) ([]struct{}, error) {
	for rest := endings; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].session == rest[0].session {
			n++
		}
		if err := w.flushSession(rest[0].session, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return make([]struct{}, len(endings)), nil
}

func (w *Worker) flushSession(s *session, endings []ending) error {
	ends := make([]task.Finish, len(endings))
	for i, e := range endings {
		ends[i] = e.end
	}
	closed := s.receipts.takeClosed()
	finished, err := w.store.Finish(s.ctx, s.id, ends, closed)
	if err != nil {
		s.receipts.putBack(closed)
		return err
	}
	failpoint.Hit(failpoint.Finished)
	var again []task.Wait
	for i, f := range finished {
		e := endings[i]
		s.receipts.end(e.seq)
		w.metrics.finished(e.task.Type, f.Status, e.end.Failure)
		if f.Status == "" {
			w.log.Warn("late_result", "task_id", e.task.ID, "attempt", e.task.Attempt)
		}
		if f.Status == task.Submitted {
			again = append(again, task.Wait{ID: e.task.ID, In: f.In})
		}
	}
	if len(again) > 0 {
		if err := w.ring.IndexIn(s.ctx, again); err != nil {
			w.log.Warn("retried tasks are not indexed yet", "tasks", len(again), "error", err)
		}
	}
	return nil
}
