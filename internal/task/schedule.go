package task

import (
	"encoding/json"
	"time"
)

// Schedule makes tasks again and again.
type Schedule struct {
	Name string
	// Cron is an expression, or empty: then Every is the period.
	Cron  string
	Every time.Duration
	Zone  string
	// StartsAt is included and EndsAt is not. Nil is no bound.
	StartsAt, EndsAt *time.Time
	// Jitter is up to how much later than its instant an occurrence is due.
	Jitter  time.Duration
	CatchUp CatchUp
	Overlap Overlap
	Paused  bool

	// What each task is.
	TaskType    string
	Payload     json.RawMessage
	Labels      Labels
	MaxAttempts *int // nil: as its type says, as the next two
	Timeout     *time.Duration
	Retry       *Retry

	ScheduleState
}

// ScheduleState is how far a schedule has come. The store sets it.
type ScheduleState struct {
	Revision             int64
	CreatedAt, UpdatedAt time.Time
	// MadeUntil is up to where occurrences were made or skipped, and NextAt the next one.
	MadeUntil time.Time
	NextAt    *time.Time
	Skipped   Skipped
}

// Skipped counts the occurrences that made no task that ran, by reason, and names the latest.
type Skipped struct {
	Late, Overlap, Changed int64
	LastAt                 *time.Time
	LastReason             *string
}

// CatchUp says what becomes of occurrences that could not start in time.
type CatchUp string

// Overlap says what becomes of an occurrence while the one before is open.
type Overlap string

// Their values.
const (
	CatchUpNone CatchUp = "none"
	CatchUpLast CatchUp = "last"
	CatchUpAll  CatchUp = "all"

	OverlapAllow Overlap = "allow"
	OverlapSkip  Overlap = "skip"
)

// ScheduleKeys begins the idempotency key of every occurrence, and OnEndKeys that of every task
// that tells of another one's end.
const (
	ScheduleKeys = "schedule/"
	OnEndKeys    = "on_end/"
)

// MaxSchedules is how many schedules there may be.
const MaxSchedules = 100_000

// Advance is a step of a schedule: what is made of it, and how far it has come then. It
// counts only if the schedule is still as it was.
type Advance struct {
	Name      string
	Revision  int64
	MadeUntil time.Time
	NextAt    *time.Time
	Late      int64
	Overlap   int64
	LastAt    *time.Time
	Reason    string
	Made      []Occurrence
}

// Occurrence is one task that is made.
type Occurrence struct {
	At    time.Time // the instant of the schedule
	Draft Draft
}

// DueSchedule is a schedule that has something to make, with what its latest task is at.
type DueSchedule struct {
	Schedule
	TypeAttempts int
	// EndedAt is when its latest task ended, of a schedule that skips what overlaps.
	EndedAt *time.Time
}
