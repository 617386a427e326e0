package task

import "slices"

// Status is where a task is in its life.
//
//	submitted ──▶ started_executing ──▶ done
//	    │  ▲              │  └────────▶ failed
//	    │  └── retry ─────┘
//	    ├──▶ failed (expired)
//	    └──▶ deleted
type Status string

// The five statuses. The last three are terminal.
const (
	Submitted Status = "submitted"
	Started   Status = "started_executing"
	Done      Status = "done"
	Failed    Status = "failed"
	Deleted   Status = "deleted"
)

// Statuses lists all of them in the order of a task's life.
func Statuses() []Status {
	return []Status{Submitted, Started, Done, Failed, Deleted}
}

// next holds the legal transitions. Submitted follows Started only for a task
// whose user allowed more than one attempt.
var next = map[Status][]Status{
	Submitted: {Started, Failed, Deleted},
	Started:   {Done, Failed, Submitted},
}

// Valid reports whether s is one of the five.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Terminal reports whether nothing can follow s.
func (s Status) Terminal() bool { return s.Valid() && len(next[s]) == 0 }

// CanBecome reports whether a task may go from s to to in one step.
func (s Status) CanBecome(to Status) bool { return slices.Contains(next[s], to) }

// Code says why an attempt failed, in a word that programs may rely on.
type Code string

// The reasons an attempt can fail for.
const (
	// HandlerError: the handler returned an error.
	HandlerError Code = "handler_error"
	// Timeout: the handler did not end within its time.
	Timeout Code = "timeout"
	// Panic: the handler panicked or ended its goroutine.
	Panic Code = "panic"
	// WorkerLost: the worker's session ended while the handler ran. The task
	// had zero or one effects, and only the outside world knows which.
	WorkerLost Code = "worker_lost"
	// WorkerStopped: the worker was told to stop, and the handler had not ended
	// when its drain time was over.
	WorkerStopped Code = "worker_stopped"
	// Expired: the task had not started by its not_after, or its type's expires_in. Nothing
	// has happened.
	Expired Code = "expired"
	// Cancelled: a client asked for it while the handler ran, and the handler's context ended.
	Cancelled Code = "cancelled"
	// UnknownType: the worker that started the task has no handler for it.
	UnknownType Code = "unknown_type"
)

// Failure is the reason of a failed attempt.
type Failure struct {
	Code    Code
	Message string
}
