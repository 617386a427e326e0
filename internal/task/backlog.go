package task

import "time"

// Backlog is the work that is overdue and that falls due soon, of all types that are declared.
type Backlog []TypeBacklog

// TypeBacklog is the work of one type. No number is above MaxCount, which stands for as many or more.
type TypeBacklog struct {
	Type   string
	Paused bool
	// Overdue counts the tasks that are due and have not started, and Oldest is how long ago the first
	// of them was due.
	Overdue int
	Oldest  time.Duration
	// Soon counts the tasks that fall due within each of SoonHorizons.
	Soon [3]int
}

// SoonHorizons are how far TypeBacklog.Soon looks ahead.
func SoonHorizons() [3]time.Duration {
	return [3]time.Duration{time.Minute, time.Hour, 24 * time.Hour}
}
