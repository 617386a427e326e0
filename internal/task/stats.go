package task

import "time"

// MaxCount is up to where counts are exact. What is more is MaxCount + 1.
const MaxCount = 10_000

// Stats are counts of tasks at one moment.
type Stats struct {
	At time.Time
	// Types are the types that have tasks, and how many of each status.
	Types map[string]map[Status]int
	// Overdue counts what is due and has not started, and OldestOverdue is when the first of it
	// was due, or nil.
	Overdue       int
	OldestOverdue *time.Time
	// DueIn counts what falls due within a minute, an hour and a day; each includes the ones before.
	DueIn struct{ Minute, Hour, Day int }
}
