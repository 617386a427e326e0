// Package task is the domain: what a task is, which states it may pass
// through, and which inputs are acceptable. It does no I/O and reads no clock.
package task

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// ID names a task for its whole life. It is a UUID of version 7, so that
// sorting by ID is sorting by creation.
type ID = uuid.UUID

// Task is one row of the system of record. Times are in UTC with microsecond
// precision, and were read off Postgres' clock unless said otherwise.
type Task struct {
	ID     ID
	Type   string
	Status Status

	// ExecutionTime is what the user asked for.
	ExecutionTime time.Time
	// DueAt is when the task is due next. It equals ExecutionTime until a
	// retry moves it.
	DueAt time.Time

	// Payload is a JSON object, or nil.
	Payload json.RawMessage
	Labels  Labels

	// Attempt counts the committed starts. It is the fencing token of the
	// running attempt.
	Attempt     int
	MaxAttempts int

	// NotAfter is until when the task may start, Timeout how long an attempt may take, and
	// Retry how long it waits for the next one. Nil is what its type says.
	NotAfter *time.Time
	Timeout  *time.Duration
	Retry    *Retry

	// WorkerID is the session that started the latest attempt, or the zero
	// UUID if there is none.
	WorkerID   uuid.UUID
	StartedAt  time.Time
	FinishedAt time.Time
	CreatedAt  time.Time

	// Changes is how often a client has changed the task.
	Changes int32

	// TraceParent is the trace context of whoever created the task, as W3C Trace Context
	// writes it, or empty.
	TraceParent string

	// CancelRequestedAt is when a client asked for it to be cancelled while it ran. A task with
	// that is not attempted again.
	CancelRequestedAt time.Time

	// RetryOf is the task that this one repeats, or the zero UUID.
	RetryOf ID

	// Result is a JSON value that the handler returned, or nil.
	Result json.RawMessage
	// Failure says why the latest attempt failed, or is nil.
	Failure *Failure
}

// Attempt is one committed start of a task, and what became of it.
type Attempt struct {
	Attempt   int
	StartedAt time.Time
	// EndedAt is zero, and Outcome empty, while it runs.
	EndedAt  time.Time
	WorkerID uuid.UUID
	// Outcome is Done or Failed.
	Outcome Status
	Failure *Failure
}

// Lateness is how long after its execution time the task was started. It is
// false for a task that has not been started.
func (t *Task) Lateness() (time.Duration, bool) {
	if t.StartedAt.IsZero() {
		return 0, false
	}
	return t.StartedAt.Sub(t.ExecutionTime), true
}

// StartDelay is how long the latest start kept the task waiting: from the time
// at which the attempt was due or, for a task that was created overdue, from its
// creation. It is false for a task that has not been started.
func (t *Task) StartDelay() (time.Duration, bool) {
	if t.StartedAt.IsZero() {
		return 0, false
	}
	since := t.DueAt
	if t.CreatedAt.After(since) {
		since = t.CreatedAt
	}
	return t.StartedAt.Sub(since), true
}

// Draft is a task that a client asks for and that does not exist yet.
type Draft struct {
	ID            ID
	Type          string
	ExecutionTime time.Time
	Payload       json.RawMessage
	Labels        Labels
	MaxAttempts   int
	// AttemptsByType: the client named no MaxAttempts, so it is the type's. Another one
	// then makes no other task of the same key.
	AttemptsByType bool
	// NotAfter, Timeout and Retry are as those of a task.
	NotAfter *time.Time
	Timeout  *time.Duration
	Retry    *Retry
	// SkipAfter is until when an occurrence of a schedule may start, or nil.
	SkipAfter *time.Time
	// Key is the client's idempotency key, or empty. Two drafts with the same
	// key are the same task.
	Key string
	// TraceParent is as that of the task. It is no part of what the client asks for.
	TraceParent string
}

// Change is what becomes of a task that has not started.
type Change struct {
	// ExecutionTime is when it is due from now on, or nil: that stays.
	ExecutionTime *time.Time
	// Now: it is due from when the store is asked to, in place of an ExecutionTime.
	Now bool
	// Payload replaces the present one, which may be nil, if SetPayload.
	Payload    json.RawMessage
	SetPayload bool
	// Labels replace the present ones, if SetLabels.
	Labels    Labels
	SetLabels bool
	// MaxAttempts replaces the present number unless it is 0.
	MaxAttempts int
	// NotAfter, Timeout and Retry are nil if they stay.
	NotAfter *To[time.Time]
	Timeout  *To[time.Duration]
	Retry    *To[Retry]
}

// To is what a member becomes that a task may have or not: Value, or nothing if that is nil.
type To[T any] struct{ Value *T }

// Moves is whether the task is due at another time.
func (c *Change) Moves() bool { return c.Now || c.ExecutionTime != nil }

// Due is what the due index knows of a task: its name, the ring that it is in, which is
// that of its type, and when it is due.
type Due struct {
	ID   ID
	Type string
	At   time.Time
}

// Ref names a task in the due index.
type Ref struct {
	ID   ID
	Type string
}

// Floor rounds t down to a whole microsecond, for times after which nothing may happen.
func Floor(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

// Ceil rounds t up to the next whole microsecond, the precision that both
// stores hold exactly. Rounding up is what keeps a task from running early.
func Ceil(t time.Time) time.Time {
	floor := t.Truncate(time.Microsecond)
	if floor.Before(t) {
		return floor.Add(time.Microsecond)
	}
	return floor
}
