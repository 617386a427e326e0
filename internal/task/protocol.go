package task

import (
	"encoding/json"
	"time"
)

// Wait is a task that has to run after a while. It is a distance and not a
// time, since the two stores need not agree on what time it is.
type Wait struct {
	ID ID
	// In is how far ahead the task is due; negative if it is overdue.
	In time.Duration
}

// Created is the answer to one draft.
type Created struct {
	Wait
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
}

// Finished is the answer to one Finish.
type Finished struct {
	// Status is what the task became, or empty if the guard refused: the
	// attempt was no longer this session's to end, and nothing was written.
	Status Status
	// In is how far ahead the next attempt is due, if Status is Submitted.
	In time.Duration
	// Err is ErrLocked if it is not known yet, or nil.
	Err error
}

// Closed are receipts of starts whose tasks have all ended.
type Closed struct {
	// Issued once: no copy of such a start is under way, and its receipt is
	// removed.
	Once []int64
	// Issued again: an earlier copy may still arrive, which finds the receipt
	// there and starts nothing. The receipt stays for the session's life, but the
	// tasks it names are taken out.
	Again []int64
}

// Empty reports whether there is nothing to close.
func (c Closed) Empty() bool { return len(c.Once) == 0 && len(c.Again) == 0 }

// Reaped is what became of the tasks of dead sessions.
type Reaped struct {
	Sessions int
	// Failed counts the tasks that ended with WorkerLost.
	Failed int
	// Retried are those whose users allowed another attempt: they are
	// submitted again, and due.
	Retried []Wait
	// Next is how long until another session would be dead unless it is
	// renewed before. It is nil if that was not looked at.
	Next *time.Duration
}
