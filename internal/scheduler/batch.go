package scheduler

import (
	"context"
	"fmt"

	"github.com/timewheel/timewheel/internal/task"
)

// batchLanes is how many batches are committed at a time. Two keep Postgres
// busy; the others wait here, and leave its connections to the reads.
const batchLanes = 2

// CreateBatch commits all drafts or none, and indexes those that are due within
// the horizon (T0). It returns their ids in order, and names the drafts in
// place. See postgres.DB.CreateBatch for the key and the errors.
func (s *Scheduler) CreateBatch(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error) {
	for i := range drafts {
		if err := name(&drafts[i]); err != nil {
			return nil, err
		}
	}
	// As with a single create, the wait is bounded by time alone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	created, err := s.commitBatch(ctx, key, drafts)
	if err != nil {
		return nil, err
	}
	s.indexSoon(ctx, drafts, created)
	ids := make([]task.ID, len(created))
	for i := range created {
		ids[i] = created[i].ID
	}
	return ids, nil
}

// commitBatch waits for a turn. The turn is over with the commit: the next batch
// may go to Postgres while this one is indexed.
func (s *Scheduler) commitBatch(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	select {
	case s.batches <- struct{}{}:
		defer func() { <-s.batches }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn to create a batch: %w: %w", task.ErrUnavailable, ctx.Err())
	}
	return s.store.CreateBatch(ctx, key, drafts)
}
