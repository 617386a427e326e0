package httpapi

import (
	"context"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

// reach is what the handlers reach tasks, types and schedules by. What the request's key may not see
// is not there: here, and in no handler. Each method is written out, so that one which is new
// does not compile until it is decided what of it a key may see.
type reach struct {
	tasks     Tasks
	reader    Reader
	types     Types
	schedules Schedules

	operations Operations

	counts counts
	// asks is whether keys are asked for. Then a request without one sees nothing.
	asks bool
}

// sees reports whether the caller may see tasks of a type.
func (r *reach) sees(ctx context.Context, taskType string) bool {
	if !r.asks {
		return true
	}
	key := access.From(ctx)
	return key != nil && key.Reaches(taskType)
}

// prefixes are those of the types that the caller may see. Nil is all types.
func (r *reach) prefixes(ctx context.Context) []string {
	if !r.asks {
		return nil
	}
	switch key := access.From(ctx); {
	case key == nil:
		return []string{}
	case key.Bound():
		return key.Types
	}
	return nil
}

// permit says that a task is not there if the caller may not see it. Of a task only PutByKey changes
// the type that it looks at. Whoever acts on the task at that moment could have done so before.
func (r *reach) permit(ctx context.Context, id task.ID) error {
	if r.prefixes(ctx) == nil {
		return nil
	}
	_, err := r.Get(ctx, id)
	return err
}

// Create creates a task of a type that the caller sees.
func (r *reach) Create(ctx context.Context, draft task.Draft) (task.ID, error) {
	if !r.sees(ctx, draft.Type) {
		return task.ID{}, task.ErrUnknownType
	}
	return r.tasks.Create(ctx, draft)
}

// CreateBulk is Create for many.
func (r *reach) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error) {
	for i := range drafts {
		if !r.sees(ctx, drafts[i].Type) {
			return nil, task.ErrUnknownType
		}
	}
	return r.tasks.CreateBulk(ctx, key, drafts)
}

// PutByKey creates or replaces a task by one of a type that the caller sees, as it was and as it shall
// be.
func (r *reach) PutByKey(
	ctx context.Context, draft task.Draft, allow func(open *task.Task) error,
) (*task.Task, bool, error) {
	if !r.sees(ctx, draft.Type) {
		return nil, false, task.ErrUnknownType
	}
	return r.tasks.PutByKey(ctx, draft, func(open *task.Task) error {
		if open != nil && !r.sees(ctx, open.Type) {
			return task.ErrNotFound
		}
		return allow(open)
	})
}

// GetByKey reads the task of a key that the caller sees.
func (r *reach) GetByKey(ctx context.Context, key string) (*task.Task, error) {
	t, err := r.reader.GetByKey(ctx, key)
	if err == nil && !r.sees(ctx, t.Type) {
		return nil, task.ErrNotFound
	}
	return t, err
}

// DeleteByKey deletes the task of a key that the caller sees.
func (r *reach) DeleteByKey(ctx context.Context, key string) (task.ID, error) {
	if r.prefixes(ctx) != nil {
		if _, err := r.GetByKey(ctx, key); err != nil {
			return task.ID{}, err
		}
	}
	return r.tasks.DeleteByKey(ctx, key)
}

// Delete deletes a task that the caller sees.
func (r *reach) Delete(ctx context.Context, id task.ID) error {
	if err := r.permit(ctx, id); err != nil {
		return err
	}
	return r.tasks.Delete(ctx, id)
}

// Change changes a task that the caller sees.
func (r *reach) Change(
	ctx context.Context, id task.ID, decide func(*task.Task) (task.Change, error),
) (*task.Task, error) {
	if err := r.permit(ctx, id); err != nil {
		return nil, err
	}
	return r.tasks.Change(ctx, id, decide)
}

// Cancel cancels a task that the caller sees.
func (r *reach) Cancel(ctx context.Context, id task.ID) (*task.Task, error) {
	if err := r.permit(ctx, id); err != nil {
		return nil, err
	}
	return r.tasks.Cancel(ctx, id)
}

// Retry creates a task like one that the caller sees.
func (r *reach) Retry(ctx context.Context, old task.ID, key string) (*task.Task, error) {
	if err := r.permit(ctx, old); err != nil {
		return nil, err
	}
	return r.tasks.Retry(ctx, old, key)
}

// Attempts reads those of a task that the caller sees.
func (r *reach) Attempts(ctx context.Context, id task.ID) ([]task.Attempt, error) {
	if err := r.permit(ctx, id); err != nil {
		return nil, err
	}
	return r.reader.Attempts(ctx, id)
}

// Get reads a task that the caller sees.
func (r *reach) Get(ctx context.Context, id task.ID) (*task.Task, error) {
	t, err := r.reader.Get(ctx, id)
	if err == nil && !r.sees(ctx, t.Type) {
		return nil, task.ErrNotFound
	}
	return t, err
}

// List lists the tasks that the caller sees, by the types that are declared.
func (r *reach) List(ctx context.Context, filter task.Filter) (task.Page, error) {
	if filter.Type != "" && !r.sees(ctx, filter.Type) {
		return task.Page{}, nil
	}
	if r.prefixes(ctx) != nil {
		filter.Types = []string{}
		for _, name := range r.types.Names() {
			if r.sees(ctx, name) {
				filter.Types = append(filter.Types, name)
			}
		}
	}
	return r.reader.List(ctx, filter)
}

// Stats counts tasks of the types that the caller sees. What is counted over all types is whole, or
// is not said.
func (r *reach) Stats(ctx context.Context) (s task.Stats, whole bool, err error) {
	all, err := r.counts.get(ctx, r.reader.Stats)
	if r.prefixes(ctx) == nil {
		return all, true, err
	}
	s = task.Stats{At: all.At, Types: map[string]map[task.Status]int{}}
	for name, n := range all.Types {
		if r.sees(ctx, name) {
			s.Types[name] = n
		}
	}
	return s, false, err
}

// Find does not look for a name that the caller may not see, so the time that it takes does not
// tell whether it is declared.
func (r *reach) Find(ctx context.Context, name string) (task.Type, bool, error) {
	if !r.sees(ctx, name) {
		return task.Type{}, false, nil
	}
	return r.types.Find(name)
}

// GetType reads a type that the caller sees.
func (r *reach) GetType(ctx context.Context, name string) (task.Type, error) {
	if !r.sees(ctx, name) {
		return task.Type{}, task.ErrNoSuchType
	}
	return r.types.GetType(ctx, name)
}

// AllTypes reads the types that the caller sees.
func (r *reach) AllTypes(ctx context.Context) (seen []task.Type, err error) {
	all, err := r.types.AllTypes(ctx)
	for i := range all {
		if r.sees(ctx, all[i].Name) {
			seen = append(seen, all[i])
		}
	}
	return seen, err
}

// PutType tells a key that it may not declare such names, whether or not they are declared.
func (r *reach) PutType(ctx context.Context, t task.Type) (task.Type, bool, error) {
	if !r.sees(ctx, t.Name) {
		return task.Type{}, false, errBound
	}
	return r.types.PutType(ctx, t)
}

// DeleteType deletes a type that the caller sees.
func (r *reach) DeleteType(ctx context.Context, name string) error {
	if !r.sees(ctx, name) {
		return task.ErrNoSuchType
	}
	return r.types.DeleteType(ctx, name)
}

// PutSchedule puts a schedule of a type that the caller sees, in place of none or of such a one.
// The type of a schedule may change, so the guard stands in the statement, here and in
// DeleteSchedule.
func (r *reach) PutSchedule(ctx context.Context, s task.Schedule) (task.Schedule, bool, error) {
	if !r.sees(ctx, s.TaskType) {
		return task.Schedule{}, false, task.ErrUnknownType
	}
	return r.schedules.PutSchedule(ctx, s, r.prefixes(ctx))
}

// GetSchedule reads a schedule of a type that the caller sees.
func (r *reach) GetSchedule(ctx context.Context, name string) (task.Schedule, error) {
	s, err := r.schedules.GetSchedule(ctx, name)
	if err == nil && !r.sees(ctx, s.TaskType) {
		return task.Schedule{}, task.ErrNoSuchSchedule
	}
	return s, err
}

// Schedules lists those of types that the caller sees.
func (r *reach) Schedules(ctx context.Context, after string, limit int) ([]task.Schedule, error) {
	return r.schedules.Schedules(ctx, after, limit, r.prefixes(ctx))
}

// DeleteSchedule deletes one of a type that the caller sees.
func (r *reach) DeleteSchedule(ctx context.Context, name string) error {
	return r.schedules.DeleteSchedule(ctx, name, r.prefixes(ctx))
}

// CreateOperation creates one that touches what the caller sees, for as long as its key is good.
func (r *reach) CreateOperation(ctx context.Context, o task.Operation) (task.Operation, error) {
	o.Reach = r.prefixes(ctx)
	if key := access.From(ctx); r.asks && key != nil {
		o.MadeBy = key.ID
	}
	return r.operations.CreateOperation(ctx, o)
}

// GetOperation reads one that touches nothing but what the caller sees. What it touches never
// changes.
func (r *reach) GetOperation(ctx context.Context, id uuid.UUID) (task.Operation, error) {
	o, err := r.operations.GetOperation(ctx, id)
	if err == nil && !o.Within(r.prefixes(ctx)) {
		return task.Operation{}, task.ErrNoSuchOperation
	}
	return o, err
}

// Operations lists such.
func (r *reach) Operations(ctx context.Context, before uuid.UUID, limit int) ([]task.Operation, error) {
	return r.operations.Operations(ctx, before, limit, r.prefixes(ctx))
}

// StopOperation stops such a one.
func (r *reach) StopOperation(ctx context.Context, id uuid.UUID) (task.Operation, error) {
	if _, err := r.GetOperation(ctx, id); err != nil {
		return task.Operation{}, err
	}
	return r.operations.StopOperation(ctx, id)
}
