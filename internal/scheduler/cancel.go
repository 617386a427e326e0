package scheduler

import (
	"context"

	"github.com/timewheel/timewheel/internal/task"
)

// Cancel deletes a task that has not started, or asks the worker that runs it to cancel it (T8). It
// returns the task. Unless that is deleted, it is not attempted again after this, and
// the worker hears of it at once, or finds it a second later. See postgres.DB.Cancel for the errors.
func (s *Scheduler) Cancel(ctx context.Context, id task.ID) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	t, err := s.store.Cancel(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.Status == task.Deleted {
		s.applyOrDefer(ctx, indexUpdate{removals: []task.Ref{{ID: id, Type: t.Type}}})
	}
	if t.Status == task.Started {
		ctx, cancel := context.WithTimeout(ctx, redisTimeout)
		defer cancel()
		if err := s.index.CancelRequested(ctx, t.WorkerID); err != nil {
			s.log.Debug("the worker finds by itself what it is to cancel", "task_id", id, "error", err)
		}
	}
	return t, nil
}
