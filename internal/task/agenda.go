package task

import (
	"time"

	"github.com/google/uuid"
)

// Want is how many tasks of a type a worker can take.
type Want struct {
	Type  string
	Limit int
	// MaxRunning is how many tasks of the type may run at once, over all workers, or zero.
	MaxRunning int
	// Interval is the time between two starts at the type's rate, or zero, and Burst how
	// many may start at once.
	Interval time.Duration
	Burst    int
}

// Claimed is what a worker got of a type.
type Claimed struct {
	Type string
	IDs  []ID
	// Wait is how long until the type is to be looked at again: zero if more of it is
	// due, negative if nothing of it is known.
	Wait time.Duration
	Err  error
}

// Ask is what a worker says of itself when it asks what comes next.
type Ask struct {
	Worker uuid.UUID
	// Group names the workers that serve the same types, and Types are those. Nil is all.
	Group string
	Types []string
	// Load is how many tasks the worker has in hand, and Left are the types of which it
	// left some that are due: other workers are woken for those.
	Load int
	Left []string
	// Settled are the types that it has looked at since it asked last, and when each is
	// to be looked at again.
	Settled []Entry
}

// Entry is when a type is to be looked at.
type Entry struct {
	Type string
	// Wait is from now on. It is negative if nothing of the type is known.
	Wait time.Duration
	// Mark counts how often the type was marked: whoever settles it says what it knew
	// before it looked.
	Mark int64
}

// Agenda answers an Ask.
type Agenda struct {
	// Watching is whether the worker is the one of its group that watches.
	Watching bool
	// StandingBy is whether it is the one that takes over if that one does not come.
	StandingBy bool
	// Entries are the types that are to be looked at now, and the one that comes next.
	Entries []Entry
}

// UnreachedError says that Redis took an update but for these types: their servers in a
// cluster do not serve. With none, the rings are right, and the agenda is not: the workers
// look at the rings by themselves then.
type UnreachedError struct {
	Types []string
	Err   error
}

// Error is that of the servers.
func (e *UnreachedError) Error() string { return e.Err.Error() }

// Unwrap is that of the servers.
func (e *UnreachedError) Unwrap() error { return e.Err }
