package task

import (
	"errors"
	"fmt"
)

// Errors that every part of the system agrees on.
var (
	// ErrNotFound: there is no task of that id.
	ErrNotFound = errors.New("task not found")
	// ErrUnknownOutcome: a commit was sent and its reply was lost. It may or
	// may not have happened; asking again with the same key is safe.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrOverloaded: too much is in work already, and nothing changed.
	ErrOverloaded = errors.New("overloaded")
	// ErrUnavailable: the store did not take the request, and nothing changed.
	ErrUnavailable = errors.New("store unavailable")
	// ErrKeyReused: the idempotency key already names a different task.
	ErrKeyReused = errors.New("idempotency key belongs to a different task")
	// ErrDeleted: the idempotency key names a task that was deleted and will not
	// run. Nothing was changed.
	ErrDeleted = errors.New("the task of this idempotency key was deleted")
	// ErrSessionLost: the worker's session is dead or its lease has passed.
	ErrSessionLost = errors.New("worker session lost")
	// ErrLocked: another transaction holds the task's row, so nothing was
	// written. It may be asked again.
	ErrLocked = errors.New("the task's row is locked by another transaction")
)

// RejectedError says that the store refuses a value of the request and always
// will.
type RejectedError struct {
	Reason string
}

func (e *RejectedError) Error() string { return "value rejected by the store: " + e.Reason }

// StatusError says that a task's present status forbids what was asked.
type StatusError struct{ Status Status }

func (e *StatusError) Error() string { return fmt.Sprintf("task is %s", e.Status) }
