package scheduler

import (
	"context"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/test/failpoint"
)

// Retry creates a task with the content of one that has failed or was deleted, due now, and indexes
// it. See postgres.DB.Retry for the key and the errors.
func (s *Scheduler) Retry(ctx context.Context, old task.ID, key string) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	draft := task.Draft{Key: key, TraceParent: telemetry.Creator(ctx)}
	if err := prepare(&draft); err != nil {
		return nil, err
	}
	made, delay, err := s.store.Retry(ctx, old, draft)
	if err != nil {
		return nil, err
	}
	if made.Status == task.Submitted && delay <= s.horizon+Margin {
		failpoint.Hit(failpoint.Inserted)
		s.applyOrDefer(ctx, indexUpdate{upserts: []task.Due{{ID: made.ID, Type: made.Type, At: made.DueAt}}})
	}
	return made, nil
}
