package scheduler

import (
	"context"
	"errors"

	"github.com/timewheel/timewheel/internal/task"
)

// Change changes a task that has not started (T7), and returns it as it is then. Nil means that
// it never runs at a time that it had before. What becomes of it is asked of decide, once more
// each time that somebody else changes it meanwhile; an error of decide is returned as it is.
// Other errors are task.ErrNotFound, *task.StatusError, task.ErrUnavailable,
// task.ErrUnknownOutcome and *task.RejectedError.
func (s *Scheduler) Change(
	ctx context.Context, id task.ID, decide func(*task.Task) (task.Change, error),
) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	for {
		read, err := s.store.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if read.Status != task.Submitted {
			return nil, &task.StatusError{Status: read.Status}
		}
		to, err := decide(read)
		if err != nil {
			return nil, err
		}
		changed, delay, err := s.store.Change(ctx, read, to)
		if errors.Is(err, task.ErrChanged) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if to.Moves() {
			s.reindex(ctx, read, changed, delay)
		}
		return changed, nil
	}
}
