package task

// Filter selects one page of a list, newest first. The zero value of a field
// does not filter.
type Filter struct {
	Status Status
	Type   string
	// Before is the last id of the previous page.
	Before ID
	// Limit is the most tasks to return, and at least 1.
	Limit int
}
