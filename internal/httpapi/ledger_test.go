package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// ledger is Tasks in memory. fail, if set, is asked first; full, if set, is how
// many tasks fill a page.
type ledger struct {
	mu    sync.Mutex
	tasks []task.Task // in creation order
	keys  map[string]task.Draft
	asked []task.Filter
	// stats are the answer to Stats, which was asked for as often as counted says.
	stats   task.Stats
	counted int
	full    int
	fail    func(ctx context.Context) error
}

func (l *ledger) failing(ctx context.Context) error {
	if l.fail != nil {
		return l.fail(ctx)
	}
	return nil
}

func (l *ledger) Create(ctx context.Context, draft task.Draft) (task.ID, error) {
	if err := l.failing(ctx); err != nil {
		return task.ID{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if earlier, known := l.keys[draft.Key]; known && draft.Key != "" {
		if earlier.Type != draft.Type {
			return task.ID{}, task.ErrKeyReused
		}
		return earlier.ID, nil
	}
	draft.ID = uuid.Must(uuid.NewV7())
	if l.keys == nil {
		l.keys = map[string]task.Draft{}
	}
	l.keys[draft.Key] = draft
	l.tasks = append(l.tasks, task.Task{
		ID: draft.ID, Type: draft.Type, Status: task.Submitted, Payload: draft.Payload, Labels: draft.Labels, MaxAttempts: draft.MaxAttempts,
		NotAfter: draft.NotAfter, Timeout: draft.Timeout, Retry: draft.Retry,
		ExecutionTime: draft.ExecutionTime, DueAt: draft.ExecutionTime, CreatedAt: time.UnixMicro(1_800_000_000_000_000),
	})
	return draft.ID, nil
}

func (l *ledger) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error) {
	ids := make([]task.ID, len(drafts))
	for i, draft := range drafts {
		if key != "" {
			draft.Key = fmt.Sprint(key, " ", i)
		}
		id, err := l.Create(ctx, draft)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

func (l *ledger) Get(ctx context.Context, id task.ID) (*task.Task, error) {
	if err := l.failing(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.tasks {
		if l.tasks[i].ID == id {
			found := l.tasks[i]
			return &found, nil
		}
	}
	return nil, task.ErrNotFound
}

func (l *ledger) Attempts(ctx context.Context, id task.ID) ([]task.Attempt, error) {
	t, err := l.Get(ctx, id)
	if err != nil || t.Attempt == 0 {
		return nil, err
	}
	at := time.UnixMicro(1_800_000_000_000_000)
	all := make([]task.Attempt, t.Attempt)
	for i := range all {
		all[i] = task.Attempt{
			Attempt: i + 1, StartedAt: at, EndedAt: at.Add(time.Second), WorkerID: id, Outcome: task.Failed,
			Failure: &task.Failure{Code: task.Timeout, Message: "it took too long"},
		}
	}
	all[len(all)-1] = task.Attempt{Attempt: t.Attempt, StartedAt: at, WorkerID: id}
	return all, nil
}

func (l *ledger) Delete(ctx context.Context, id task.ID) error {
	if err := l.failing(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.tasks {
		if t := &l.tasks[i]; t.ID == id {
			if t.Status != task.Submitted && t.Status != task.Deleted {
				return &task.StatusError{Status: t.Status}
			}
			t.Status = task.Deleted
			return nil
		}
	}
	return task.ErrNotFound
}

func (l *ledger) Cancel(ctx context.Context, id task.ID) (*task.Task, error) {
	t, err := l.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch t.Status {
	case task.Submitted:
		return &task.Task{ID: id, Status: task.Deleted}, l.Delete(ctx, id)
	case task.Started:
		t.CancelRequestedAt = time.UnixMicro(1_800_000_000_000_000)
		return t, nil
	default:
		return nil, &task.StatusError{Status: t.Status}
	}
}

func (l *ledger) Retry(ctx context.Context, old task.ID, key string) (*task.Task, error) {
	t, err := l.Get(ctx, old)
	if err != nil {
		return nil, err
	}
	if t.Status != task.Failed && t.Status != task.Deleted {
		return nil, &task.StatusError{Status: t.Status}
	}
	id, err := l.Create(ctx, task.Draft{Type: t.Type, Payload: t.Payload, MaxAttempts: t.MaxAttempts, Key: key})
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.tasks[len(l.tasks)-1].RetryOf = old
	l.mu.Unlock()
	return l.Get(ctx, id)
}

func (l *ledger) Change(ctx context.Context, id task.ID, decide func(*task.Task) (task.Change, error)) (*task.Task, error) {
	t, err := l.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.Status != task.Submitted {
		return nil, &task.StatusError{Status: t.Status}
	}
	to, err := decide(t)
	if err != nil {
		return nil, err
	}
	if to.ExecutionTime != nil {
		t.ExecutionTime, t.DueAt = *to.ExecutionTime, *to.ExecutionTime
	}
	if to.Now {
		t.ExecutionTime, t.DueAt = time.UnixMicro(1_800_000_000_000_000), time.UnixMicro(1_800_000_000_000_000)
	}
	if to.SetPayload {
		t.Payload = to.Payload
	}
	if to.SetLabels {
		t.Labels = to.Labels
	}
	if to.NotAfter != nil {
		t.NotAfter = to.NotAfter.Value
	}
	if to.Timeout != nil {
		t.Timeout = to.Timeout.Value
	}
	if to.Retry != nil {
		t.Retry = to.Retry.Value
	}
	t.MaxAttempts = cmp.Or(to.MaxAttempts, t.MaxAttempts)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.tasks {
		if l.tasks[i].ID == id {
			l.tasks[i] = *t
		}
	}
	return t, nil
}

// List ends a page after l.full tasks, as if they were large.
func (l *ledger) List(ctx context.Context, filter task.Filter) (page task.Page, err error) {
	if err := l.failing(ctx); err != nil {
		return page, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, filter)
	for _, t := range slices.Backward(l.tasks) {
		if (filter.Status == "" || t.Status == filter.Status) && (filter.Type == "" || t.Type == filter.Type) &&
			(filter.After.ID == task.ID{} || bytes.Compare(t.ID[:], filter.After.ID[:]) < 0) {
			if n := len(page.Tasks); n == min(filter.Limit, cmp.Or(l.full, filter.Limit)) {
				page.Next = &task.Place{DueAt: page.Tasks[n-1].DueAt, ID: page.Tasks[n-1].ID}
				return page, nil
			}
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, nil
}

// Stats counts what there is.
func (l *ledger) Stats(ctx context.Context) (s task.Stats, err error) {
	l.mu.Lock()
	l.counted++
	l.mu.Unlock()
	if err := l.failing(ctx); err != nil {
		return s, err
	}
	return l.stats, nil
}

// PutByKey knows nothing of attempts.
func (l *ledger) PutByKey(ctx context.Context, draft task.Draft, allow func(*task.Task) error) (*task.Task, bool, error) {
	open, err := l.GetByKey(ctx, draft.Key)
	if errors.Is(err, task.ErrNotFound) || err == nil && open.Status.Terminal() {
		open, err = nil, nil
	}
	if err != nil {
		return nil, false, err
	}
	if open != nil && open.Status != task.Submitted {
		return nil, false, &task.StatusError{Status: open.Status}
	}
	if err := allow(open); err != nil {
		return nil, false, err
	}
	if open == nil {
		l.mu.Lock()
		delete(l.keys, draft.Key)
		l.mu.Unlock()
		id, err := l.Create(ctx, draft)
		if err != nil {
			return nil, false, err
		}
		draft.ID = id
		l.keys[draft.Key] = draft
		put, err := l.Get(ctx, id)
		return put, true, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.tasks {
		if t := &l.tasks[i]; t.ID == open.ID {
			t.Type, t.Payload, t.MaxAttempts, t.ExecutionTime, t.DueAt = draft.Type, draft.Payload, draft.MaxAttempts, draft.ExecutionTime, draft.ExecutionTime
			put := *t
			return &put, false, nil
		}
	}
	return nil, false, task.ErrNotFound
}

func (l *ledger) GetByKey(ctx context.Context, key string) (*task.Task, error) {
	if err := l.failing(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	draft, known := l.keys[key]
	l.mu.Unlock()
	if !known {
		return nil, task.ErrNotFound
	}
	return l.Get(ctx, draft.ID)
}

func (l *ledger) DeleteByKey(ctx context.Context, key string) (task.ID, error) {
	found, err := l.GetByKey(ctx, key)
	if err != nil {
		return task.ID{}, err
	}
	return found.ID, l.Delete(ctx, found.ID)
}
