package task

import (
	"encoding/json"
	"time"
)

// DueIn is a task that is due after a delay. It is relative, because the clocks of the
// two stores may differ.
type DueIn struct {
	ID   ID
	Type string
	// Delay is how far ahead the task is due; negative if it is overdue.
	Delay time.Duration
}

// Created is the answer to one draft.
type Created struct {
	DueIn
	// DueAt is when the task is due.
	DueAt time.Time
	// Err concerns this draft alone, or is nil.
	Err error
}

// Finish is how one attempt ended.
type Finish struct {
	ID      ID
	Attempt int
	// Result is a JSON value, or nil.
	Result json.RawMessage
	// Failure is nil if the task is done.
	Failure *Failure
	// Counted is whether the start counted the attempt, since its type has a max_running.
	Counted bool
}

// Finished is the answer to one Finish.
type Finished struct {
	// Status is what the task became, or empty if the guard refused: the
	// attempt was no longer this session's to end, and nothing was written.
	Status Status
	// Delay is how far ahead the next attempt is due, if Status is Submitted.
	Delay time.Duration
	// Err is ErrLocked if it is not known yet, or nil.
	Err error
}

// Closed are receipts of starts whose tasks have all ended.
type Closed struct {
	// Once are the sequence numbers of starts that were issued once: no copy of them
	// is under way, and their receipts are removed.
	Once []int64
	// Retried are those of starts that were issued again: an earlier copy may still
	// arrive, which finds the receipt there and starts nothing. The receipt stays for
	// the session's life, but the tasks that it names are taken out.
	Retried []int64
}

// Empty reports whether there is nothing to close.
func (c Closed) Empty() bool { return len(c.Once) == 0 && len(c.Retried) == 0 }

// Reaped is what became of the tasks of dead sessions.
type Reaped struct {
	Sessions int
	// Failed counts the tasks that ended with WorkerLost.
	Failed int
	// Retried are those whose users allowed another attempt: they are
	// submitted again, and due.
	Retried []DueIn
	// Next is how long until another session would be dead unless it is
	// renewed before. It is nil if that was not looked at.
	Next *time.Duration
}
