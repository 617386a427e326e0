package scheduler

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// storeTimeout bounds what a client waits for Postgres, from when its request
	// was read: it must get an answer.
	storeTimeout = 8 * time.Second
	// redisTimeout bounds what a client waits for Redis, which is a hint.
	redisTimeout = 250 * time.Millisecond
	// redisRetryInterval is the time between two tries of a Redis that failed.
	redisRetryInterval = time.Second
)

// Store is Postgres as the API needs it.
type Store interface {
	Create(ctx context.Context, drafts []task.Draft) []task.Created
	CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error)
	Delete(ctx context.Context, id task.ID) (taskType string, err error)
	Cancel(ctx context.Context, id task.ID) (*task.Task, error)
	Retry(ctx context.Context, old task.ID, draft task.Draft) (made *task.Task, delay time.Duration, err error)
	Get(ctx context.Context, id task.ID) (*task.Task, error)
	Change(ctx context.Context, read *task.Task, to task.Change) (changed *task.Task, delay time.Duration, err error)
	OpenByKey(ctx context.Context, key string) (open *task.Task, asOf time.Time, err error)
	GetByKey(ctx context.Context, key string) (*task.Task, error)
	CreateByKey(ctx context.Context, draft task.Draft, asOf time.Time) (created *task.Task, delay time.Duration, err error)
	Replace(ctx context.Context, read *task.Task, draft task.Draft) (replaced *task.Task, delay time.Duration, err error)
}

// Index is the due index in Redis as the API needs it.
type Index interface {
	Index(ctx context.Context, tasks []task.Due) error
	Remove(ctx context.Context, tasks []task.Ref) error
	// CancelRequested tells the worker of a session that a task of its is to be cancelled.
	CancelRequested(ctx context.Context, session uuid.UUID) error
}

// Scheduler creates and deletes tasks: Postgres first, then Redis.
type Scheduler struct {
	store   Store
	index   Index
	horizon time.Duration
	log     *slog.Logger

	// Creates with a key may wait for somebody else's commit of that key, large ones
	// for the network, and bulk creates for both: none holds up the others.
	creates, keyed, large, bulks *creates

	deferred deferred
}

// New makes a scheduler whose due index looks as far ahead as horizon.
func New(store Store, index Index, horizon time.Duration, log *slog.Logger) *Scheduler {
	s := &Scheduler{store: store, index: index, horizon: horizon, log: log.With("component", "scheduler")}
	s.creates = s.newCreates(createItems, createLanes, 4)
	s.keyed = s.newCreates(createItems, createLanes, 4)
	s.large = s.newCreates(createItems, 1, 2)
	s.bulks = s.newCreates(1, bulkLanes, bulkLanes)
	return s
}

// Forget drops from the due index tasks that Postgres has ended already.
func (s *Scheduler) Forget(ctx context.Context, gone []task.Ref) {
	if len(gone) > 0 {
		s.applyOrDefer(context.WithoutCancel(ctx), indexUpdate{removals: gone})
	}
}

// Delete ends a task that has not started (T5). See postgres.DB.Delete for its
// errors.
func (s *Scheduler) Delete(ctx context.Context, id task.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	taskType, err := s.store.Delete(ctx, id)
	if err != nil {
		return err
	}
	s.applyOrDefer(ctx, indexUpdate{removals: []task.Ref{{ID: id, Type: taskType}}})
	return nil
}
