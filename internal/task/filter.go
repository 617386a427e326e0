package task

import "time"

// Filter selects one page of a list. The zero value of a field does not filter.
type Filter struct {
	Status Status
	Type   string
	// Types, if it is not nil, are all that may be returned.
	Types []string
	// Labels must all be those of the task.
	Labels Labels
	// Due and Created are when the task is due next, and when it was committed.
	Due, Created Window
	Order        Order

	// After is the place where the previous page ended. The zero value is the beginning.
	After Place
	// Limit is the most tasks to return, and at least 1.
	Limit int
}

// Window is a span of time, which includes its start and not its end. Nil is no bound.
type Window struct{ Start, End *time.Time }

// Order is the order of a list.
type Order string

// The orders. The zero value is NewestFirst.
const (
	NewestFirst Order = "-created"
	SoonestDue  Order = "due"
)

// Place is between two tasks of a list.
type Place struct {
	// DueAt counts in the order SoonestDue alone.
	DueAt time.Time
	ID    ID
}

// Page is a part of a list.
type Page struct {
	Tasks []Task
	// Next is where it goes on, or nil: that was all. A page may be shorter than was asked for,
	// and even empty, and yet go on: it costs no more than so many tasks that were looked at.
	Next *Place
}

// Missing names the filter that a list of such tasks needs and does not have, and why. Both
// are empty if it needs none.
func (f *Filter) Missing() (filter, why string) {
	if f.Order == SoonestDue && f.Status != Submitted && f.Status != Started {
		return "status", "must be submitted or started_executing with order=due: what has ended is due no more"
	}
	return "", ""
}
