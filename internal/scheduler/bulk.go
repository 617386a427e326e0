package scheduler

import (
	"context"
	"fmt"

	"github.com/timewheel/timewheel/internal/task"
)

// bulkLanes is how many bulk creates are committed at a time. Two keep Postgres
// busy; the others wait here, and leave its connections to single creates.
const bulkLanes = 2

// CreateBulk commits all drafts or none, and indexes those that are due within
// the horizon (T0). It returns their ids in order, and gives the drafts their
// ids in place. See postgres.DB.CreateBulk for the key and the errors.
func (s *Scheduler) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error) {
	for i := range drafts {
		if err := prepare(&drafts[i]); err != nil {
			return nil, err
		}
	}
	// As with a single create, the wait is bounded by time alone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	created, err := s.commitBulk(ctx, key, drafts)
	if err != nil {
		return nil, err
	}
	s.indexWithinHorizon(ctx, drafts, created)
	ids := make([]task.ID, len(created))
	for i := range created {
		ids[i] = created[i].ID
	}
	return ids, nil
}

// commitBulk waits for a lane. The lane is free with the commit: the next bulk create
// may go to Postgres while this one is indexed.
func (s *Scheduler) commitBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	select {
	case s.bulks <- struct{}{}:
		defer func() { <-s.bulks }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to create tasks in bulk: %w: %w", task.ErrUnavailable, ctx.Err())
	}
	return s.store.CreateBulk(ctx, key, drafts)
}
