package task

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Limits of operations.
const (
	// MaxOperations is how many operations may wait and run at once.
	MaxOperations = 100
	// MaxShift is the most that an operation moves tasks by, either way.
	MaxShift = 100 * 365 * 24 * time.Hour
	// MaxSamples is how many of the tasks that an operation skipped it names.
	MaxSamples = 10
)

// Action is what an operation does with each task.
type Action string

// The actions. Each does what the single call of its name does.
const (
	ActionDelete     Action = "delete"
	ActionReschedule Action = "reschedule"
	ActionRun        Action = "run"
	ActionRetry      Action = "retry"
	ActionCancel     Action = "cancel"
)

// Actions are all there are.
func Actions() []Action {
	return []Action{ActionDelete, ActionReschedule, ActionRun, ActionRetry, ActionCancel}
}

// Valid reports whether it is one of them.
func (a Action) Valid() bool { return slices.Contains(Actions(), a) }

// Statuses are those of the tasks that the action may be done with.
func (a Action) Statuses() []Status {
	switch a {
	case ActionRetry:
		return []Status{Failed, Deleted}
	case ActionCancel:
		return []Status{Submitted, Started}
	default:
		return []Status{Submitted}
	}
}

// OperationState is where an operation is in its life.
type OperationState string

// The states. The last three are final.
const (
	OperationWaiting OperationState = "waiting"
	OperationRunning OperationState = "running"
	OperationDone    OperationState = "done"
	OperationStopped OperationState = "stopped"
	OperationFailed  OperationState = "failed"
)

// OperationStates are all there are.
func OperationStates() []OperationState {
	return []OperationState{OperationWaiting, OperationRunning, OperationDone, OperationStopped, OperationFailed}
}

// Operation does something with all tasks that match a filter. Of those that were there when it
// was asked for, it looks at the open ones, or, to retry, at the failed and deleted ones.
type Operation struct {
	ID uuid.UUID
	// Key is the idempotency key, or empty.
	Key    string
	Action Action
	// Filter picks the tasks. It has neither order nor place.
	Filter Filter
	// ExecutionTime or Shift is when a task is due that is rescheduled: at that time, or so much
	// later than it was. Nil for other actions.
	ExecutionTime *time.Time
	Shift         *time.Duration
	// Reach are prefixes of the names of the types that it may touch, or nil: all. MadeBy is the key
	// that asked for it, or the zero UUID: it stops when that is revoked or expires.
	Reach  []string
	MadeBy uuid.UUID
	// DryRun: it counts, and changes nothing.
	DryRun bool

	State OperationState
	// Done is how many tasks the action was done with, and Skipped with how many that matched it
	// could not be done. Samples are some of these.
	Done, Skipped int64
	Samples       []Skip
	// Left is how many tasks are still to be looked at, or nil: that is not known yet.
	Left *int64
	// Failure is why it failed, or empty.
	Failure   string
	CreatedAt time.Time
	// StartedAt and FinishedAt are nil until then.
	StartedAt, FinishedAt *time.Time

	// Before is the place of its walk: what has a lesser id is still to be looked at.
	Before ID
}

// Within reports whether all that the operation may touch is of types with these prefixes. Nil is all.
func (o *Operation) Within(prefixes []string) bool {
	reached := func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	switch {
	case prefixes == nil:
		return true
	case o.Filter.Type != "":
		return reached(o.Filter.Type)
	}
	return o.Reach != nil && !slices.ContainsFunc(o.Reach, func(own string) bool { return !reached(own) })
}

// Skip is a task that an operation skipped.
type Skip struct {
	ID ID `json:"task_id"`
	// Reason is the status of the task, or one of the reasons below.
	Reason string `json:"reason"`
}

// Why an operation skips a task, if that is not for its status.
const (
	// SkipChanged: it did not match any more, or somebody else was changing it.
	SkipChanged = "changed"
	// SkipNotAfter: it would be due after its not_after.
	SkipNotAfter = "not_after"
	// SkipOutOfRange: it would be due at a time that no task can have.
	SkipOutOfRange = "out_of_range"
	// SkipOlderWorkers: it runs, and a worker is up that knows no cancel.
	SkipOlderWorkers = "older_workers"
	// SkipUndeclaredType: its type was deleted.
	SkipUndeclaredType = "undeclared_type"
	// SkipGone: it is kept no longer.
	SkipGone = "gone"
)

// Candidates are the next tasks that an operation has to look at, newest first.
type Candidates struct {
	IDs []ID
	// Next is the place after them, and End is whether nothing is after that.
	Next ID
	End  bool
}

// OperationPage is a page of candidates that an operation is to act on. It ends at the place Next;
// Left is how many are left then, or nil, and Last is whether that is none.
type OperationPage struct {
	IDs  []ID
	Next ID
	Left *int64
	Last bool
}

// Acted is what a page has come to.
type Acted struct {
	// Moved is whether the operation has moved on by this. If not, it was stopped, or another
	// node has done the page, and nothing was changed.
	Moved bool
	// Ended are tasks that were deleted, Due those that are due at another time or are new, and
	// Told the sessions that are to cancel something.
	Ended []Ref
	Due   []Timed
	Told  []uuid.UUID
}

// Timed is a task that is due, and how far ahead that is.
type Timed struct {
	Due
	In time.Duration
}
