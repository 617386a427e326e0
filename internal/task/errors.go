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
	// ErrChanged: the task is not as it was when it was read. Nothing was changed.
	ErrChanged = errors.New("the task has changed meanwhile")
	// ErrPrecondition: the task is not as the request says that it has to be.
	ErrPrecondition = errors.New("the task is not as the request expects it")
	// ErrSessionLost: the worker's session is dead or its lease has passed.
	ErrSessionLost = errors.New("worker session lost")
	// ErrLocked: another transaction holds the task's row, so nothing was
	// written. It may be asked again.
	ErrLocked = errors.New("the task's row is locked by another transaction")

	// ErrUnknownType: the type of a new task is not declared, or was deleted
	// meanwhile. The task was not created.
	ErrUnknownType = errors.New("the task's type is not declared")
	// ErrNoSuchType: there is no type of that name.
	ErrNoSuchType = errors.New("type not found")
	// ErrTypeInUse: a task of the type is open, so it is not deleted.
	ErrTypeInUse = errors.New("tasks of the type are open")
	// ErrTypeShips: the type is one of those that are always there.
	ErrTypeShips = errors.New("the type ships and cannot be deleted")
	// ErrNoSuchOperation: there is no operation of this id.
	ErrNoSuchOperation = errors.New("there is no such operation")
	// ErrTooManyOperations: as many operations wait and run as may.
	ErrTooManyOperations = errors.New("there are as many operations as there may be")
	// ErrOlderWorkers: a worker is up that does not know what is asked for: a pause, a limit, or
	// a task that is cancelled while it runs. Nothing was changed.
	ErrOlderWorkers = errors.New("a worker of an older version is up")
	// ErrTooManyTypes: there is no room for another type.
	ErrTooManyTypes = errors.New("there are as many types as there may be")

	// ErrNoSuchSchedule: there is no schedule of that name.
	ErrNoSuchSchedule = errors.New("schedule not found")
	// ErrNameTaken: the name is that of a schedule of types that the caller does not see.
	ErrNameTaken = errors.New("the name of the schedule is taken")
	// ErrTooManySchedules: there is no room for another schedule.
	ErrTooManySchedules = errors.New("there are as many schedules as there may be")
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
