package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/groupcommit"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
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
	// bulkLanes is how many bulk creates are committed at a time, each by itself. Two
	// keep Postgres busy, and leave its connections to single creates.
	bulkLanes = 2
	// largeDraft is from where on a draft shares no statement with small ones, in
	// bytes: those would wait for its megabytes.
	largeDraft = 16 << 10
	// createsWaiting is how many bytes of drafts may wait in a group before more
	// are refused.
	createsWaiting = 8 << 20
)

// submission is what one request creates: one task, or a bulk of tasks that are
// committed together or not at all.
type submission struct {
	drafts []task.Draft
	bulk   bool
	key    string // of a bulk
}

func (s submission) size() int {
	size := 0
	for i := range s.drafts {
		size += len(s.drafts[i].Payload)
	}
	return size
}

// outcome is the answer to a submission: one per draft, or an error for all of them.
type outcome struct {
	created []task.Created
	err     error
}

// creates is the group commit of a kind of submissions.
type creates = groupcommit.Group[submission, outcome]

func (s *Scheduler) newCreates(items, lanes, maxLanes int) *creates {
	return groupcommit.New(groupcommit.Config[submission]{
		Items: items, Bytes: createBytes, Lanes: lanes, MaxLanes: maxLanes,
		Waiting: createsWaiting, Size: submission.size,
	}, s.commit)
}

// Create commits a task and indexes it if it is due within the horizon (T0).
// The id is made here, unless the draft's key names a task that exists. Errors
// are task.ErrOverloaded, task.ErrUnavailable, task.ErrUnknownOutcome,
// task.ErrKeyReused, task.ErrDeleted and *task.RejectedError. If ctx ends before
// the draft was handed to Postgres, it is not created; else it is, but for the
// answer.
func (s *Scheduler) Create(ctx context.Context, draft task.Draft) (task.ID, error) {
	group := s.creates
	switch {
	case len(draft.Payload) >= largeDraft:
		group = s.large
	case draft.Key != "":
		group = s.keyed
	}
	created, err := s.submit(ctx, group, submission{drafts: []task.Draft{draft}})
	if err != nil {
		return task.ID{}, err
	}
	return created[0].ID, created[0].Err
}

// CreateBulk commits all drafts or none, and indexes those that are due within
// the horizon (T0). It returns their ids in order, and gives the drafts their
// ids in place. See Create for the errors, and postgres.DB.CreateBulk for the key.
func (s *Scheduler) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error) {
	created, err := s.submit(ctx, s.bulks, submission{drafts: drafts, bulk: true, key: key})
	if err != nil {
		return nil, err
	}
	ids := make([]task.ID, len(created))
	for i := range created {
		ids[i] = created[i].ID
	}
	return ids, nil
}

// submit hands a submission to its group, and waits for the outcome.
func (s *Scheduler) submit(ctx context.Context, group *creates, sub submission) ([]task.Created, error) {
	for i := range sub.drafts {
		if err := prepare(&sub.drafts[i]); err != nil {
			return nil, err
		}
		sub.drafts[i].TraceParent = telemetry.Creator(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	out, err := group.Do(ctx, sub)
	switch {
	case err == nil:
		return out.created, out.err
	case errors.Is(err, groupcommit.ErrFull):
		return nil, fmt.Errorf("create tasks: %w: %w", task.ErrOverloaded, err)
	case errors.Is(err, groupcommit.ErrNotSent):
		return nil, fmt.Errorf("create tasks: %w: %w", task.ErrUnavailable, err)
	}
	return nil, fmt.Errorf("create tasks: %w: %w", task.ErrUnknownOutcome, err)
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
func (s *Scheduler) commit(subs []submission, answer func([]outcome, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	outcomes := make([]outcome, len(subs))
	var drafts []task.Draft
	var created []task.Created
	if subs[0].bulk { // which is alone, as its group has it
		drafts = subs[0].drafts
		created, outcomes[0].err = s.store.CreateBulk(ctx, subs[0].key, drafts)
		outcomes[0].created = created
	} else {
		drafts = make([]task.Draft, len(subs))
		for i := range subs {
			drafts[i] = subs[i].drafts[0]
		}
		created = s.store.Create(ctx, drafts)
		for i := range created {
			outcomes[i].created = created[i : i+1]
		}
	}
	go func() {
		s.indexWithinHorizon(context.Background(), drafts, created)
		answer(outcomes, nil)
	}()
}

// indexWithinHorizon indexes those of the tasks just committed that are due within the
// horizon. The cascade brings the others.
func (s *Scheduler) indexWithinHorizon(ctx context.Context, drafts []task.Draft, created []task.Created) {
	if len(created) == 0 {
		return
	}
	failpoint.Hit(failpoint.Inserted)
	var soon []task.Due
	for i, c := range created {
		if c.Err == nil && c.Delay <= s.horizon+Margin {
			soon = append(soon, task.Due{ID: c.ID, Type: drafts[i].Type, At: c.DueAt})
		}
	}
	if len(soon) > 0 {
		s.applyOrDefer(ctx, indexUpdate{upserts: soon})
	}
}
