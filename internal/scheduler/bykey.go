package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/test/failpoint"
)

// PutByKey creates the task of the draft's key (T0), or replaces the one that has not started
// (T7), and returns it and whether it is new. Nil means that nothing of the key's task as it was
// runs any more, and not at a time that it had before. What is open, or nil, is shown to allow, whose
// error is returned as it is. Other errors are *task.StatusError of a task that runs,
// task.ErrUnknownType, task.ErrUnavailable, task.ErrUnknownOutcome and *task.RejectedError.
func (s *Scheduler) PutByKey(
	ctx context.Context, draft task.Draft, allow func(open *task.Task) error,
) (put *task.Task, created bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := prepare(&draft); err != nil {
		return nil, false, err
	}
	draft.TraceParent = telemetry.Creator(ctx)
	for {
		open, asOf, err := s.store.OpenByKey(ctx, draft.Key)
		if err != nil {
			return nil, false, err
		}
		if open != nil && open.Status != task.Submitted {
			return nil, false, &task.StatusError{Status: open.Status}
		}
		if err := allow(open); err != nil {
			return nil, false, err
		}
		put, delay, err := s.putOnce(ctx, open, draft, asOf)
		if errors.Is(err, task.ErrChanged) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		s.reindex(ctx, open, put, delay)
		return put, open == nil, nil
	}
}

func (s *Scheduler) putOnce(
	ctx context.Context, open *task.Task, draft task.Draft, asOf time.Time,
) (*task.Task, time.Duration, error) {
	if open == nil {
		return s.store.CreateByKey(ctx, draft, asOf)
	}
	return s.store.Replace(ctx, open, draft)
}

// reindex tells the due index what became of a task that was read as before, or is new.
func (s *Scheduler) reindex(ctx context.Context, before, now *task.Task, delay time.Duration) {
	if now.Status != task.Submitted {
		return
	}
	failpoint.Hit(failpoint.Inserted)
	if before != nil && before.Type != now.Type {
		// It leaves the ring of its old type. Should Redis miss that, a worker that claims it
		// there is refused and puts it where it belongs.
		s.applyOrDefer(ctx, indexUpdate{removals: []task.Ref{{ID: now.ID, Type: before.Type}}})
	}
	u := indexUpdate{upserts: []task.Due{{ID: now.ID, Type: now.Type, At: now.DueAt}}}
	if delay > s.horizon+Margin { // the cascade brings it
		u = indexUpdate{removals: []task.Ref{{ID: now.ID, Type: now.Type}}}
	}
	s.applyOrDefer(ctx, u)
}

// DeleteByKey deletes the open task of a key (T5), and returns its id; without one, that of the task
// of the key that was created last. Errors are those of Delete.
func (s *Scheduler) DeleteByKey(ctx context.Context, key string) (task.ID, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	found, err := s.store.GetByKey(ctx, key)
	if err != nil {
		return task.ID{}, err
	}
	return found.ID, s.Delete(ctx, found.ID)
}
