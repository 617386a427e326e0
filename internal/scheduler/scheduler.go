package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/groupcommit"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

// Margin is how far beyond the horizon a new task is still indexed by its
// creator. The cascade looks as far as the horizon, so a commit that is slower
// than this would slip past it until the task is overdue.
const Margin = time.Minute

const (
	// createItems and createBytes bound one flush of the group commit of creates, and
	// createLanes is how many are in flight.
	createItems, createBytes, createLanes = 250, 1 << 20, 2
	// largeDraft is from where on a draft shares no statement with small ones, in
	// bytes: those would wait for its megabytes.
	largeDraft = 16 << 10
	// createsWaiting is how many bytes of drafts may wait in a group before more
	// are refused.
	createsWaiting = 8 << 20
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
	Get(ctx context.Context, id task.ID) (*task.Task, error)
	Delete(ctx context.Context, id task.ID) error
	List(ctx context.Context, f task.Filter) (page []task.Task, more bool, err error)
}

// Index is the due index in Redis as the API needs it.
type Index interface {
	Index(ctx context.Context, tasks []task.Due) error
	Remove(ctx context.Context, ids []task.ID) error
}

// Scheduler creates and deletes tasks: Postgres first, then Redis.
type Scheduler struct {
	store   Store
	index   Index
	horizon time.Duration
	log     *slog.Logger

	// Creates with a key may wait for somebody else's commit of that key, and
	// large ones for the network: neither holds up the others.
	creates, keyed, large *groupcommit.Group[task.Draft, task.Created]
	// bulks holds a token for each bulk create that is being committed.
	bulks    chan struct{}
	deferred deferred
}

// New makes a scheduler whose due index looks as far ahead as horizon.
func New(store Store, index Index, horizon time.Duration, log *slog.Logger) *Scheduler {
	s := &Scheduler{
		store: store, index: index, horizon: horizon, log: log.With("component", "scheduler"),
		bulks: make(chan struct{}, bulkLanes),
	}
	s.creates = s.newGroup(createLanes, 4)
	s.keyed = s.newGroup(createLanes, 4)
	s.large = s.newGroup(1, 2)
	return s
}

func (s *Scheduler) newGroup(lanes, maxLanes int) *groupcommit.Group[task.Draft, task.Created] {
	return groupcommit.New(groupcommit.Config[task.Draft]{
		Items: createItems, Bytes: createBytes, Lanes: lanes, MaxLanes: maxLanes,
		Waiting: createsWaiting, Size: func(d task.Draft) int { return len(d.Payload) },
	}, s.commit)
}

// Create commits a task and indexes it if it is due within the horizon (T0).
// The id is made here, unless the draft's key names a task that exists. Errors
// are task.ErrOverloaded, task.ErrUnavailable, task.ErrUnknownOutcome,
// task.ErrKeyReused, task.ErrDeleted and *task.RejectedError. If ctx ends before
// the draft was handed to Postgres, it is not created; else it is, but for the
// answer.
func (s *Scheduler) Create(ctx context.Context, draft task.Draft) (task.ID, error) {
	if err := prepare(&draft); err != nil {
		return task.ID{}, err
	}
	group := s.creates
	switch {
	case len(draft.Payload) >= largeDraft:
		group = s.large
	case draft.Key != "":
		group = s.keyed
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	created, err := group.Do(ctx, draft)
	switch {
	case err == nil:
		return created.ID, created.Err
	case errors.Is(err, groupcommit.ErrFull):
		return task.ID{}, fmt.Errorf("create a task: %w: %w", task.ErrOverloaded, err)
	case errors.Is(err, groupcommit.ErrNotSent):
		return task.ID{}, fmt.Errorf("create a task: %w: %w", task.ErrUnavailable, err)
	}
	return task.ID{}, fmt.Errorf("create a task: %w: %w", task.ErrUnknownOutcome, err)
}

// prepare gives a draft its id and rounds its time up to what Postgres keeps.
func prepare(draft *task.Draft) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a task id: %w", err)
	}
	draft.ID = failpoint.Skew(id)
	draft.ExecutionTime = task.Ceil(draft.ExecutionTime)
	return nil
}

// commit is one flush of the group commit. The next may go to Postgres while
// this one is indexed.
func (s *Scheduler) commit(drafts []task.Draft, answer func([]task.Created, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	created := s.store.Create(ctx, drafts)
	go func() {
		s.indexWithinHorizon(context.Background(), drafts, created)
		answer(created, nil)
	}()
}

// indexWithinHorizon indexes those of the tasks just committed that are due within the
// horizon. The cascade brings the others.
func (s *Scheduler) indexWithinHorizon(ctx context.Context, drafts []task.Draft, created []task.Created) {
	failpoint.Hit(failpoint.Inserted)
	var soon []task.Due
	for i, c := range created {
		if c.Err == nil && c.Delay <= s.horizon+Margin {
			soon = append(soon, task.Due{ID: c.ID, At: drafts[i].ExecutionTime})
		}
	}
	if len(soon) > 0 {
		s.applyOrDefer(ctx, indexUpdate{upserts: soon})
	}
}

// Delete ends a task that has not started (T5). See postgres.DB.Delete for its
// errors.
func (s *Scheduler) Delete(ctx context.Context, id task.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := s.store.Delete(ctx, id); err != nil {
		return err
	}
	s.applyOrDefer(ctx, indexUpdate{removals: []task.ID{id}})
	return nil
}

// Get reads one task; the error is task.ErrNotFound or task.ErrUnavailable.
func (s *Scheduler) Get(ctx context.Context, id task.ID) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Get(ctx, id)
}

// List reads one page of tasks, newest first, and whether there is more after
// it. See postgres.DB.List.
func (s *Scheduler) List(ctx context.Context, f task.Filter) (page []task.Task, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.List(ctx, f)
}
