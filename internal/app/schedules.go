package app

import (
	"context"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
)

// schedules changes schedules: Postgres decides, and the due index learns which tasks were
// taken back.
type schedules struct {
	*postgres.DB
	tasks *scheduler.Scheduler
}

// PutSchedule creates or replaces a schedule.
func (s schedules) PutSchedule(ctx context.Context, put task.Schedule, types []string) (task.Schedule, bool, error) {
	put, created, taken, err := s.DB.PutSchedule(context.WithoutCancel(ctx), put, types)
	s.tasks.Forget(ctx, taken)
	return put, created, err
}

// DeleteSchedule deletes a schedule.
func (s schedules) DeleteSchedule(ctx context.Context, name string, types []string) error {
	taken, err := s.DB.DeleteSchedule(context.WithoutCancel(ctx), name, types)
	s.tasks.Forget(ctx, taken)
	return err
}
