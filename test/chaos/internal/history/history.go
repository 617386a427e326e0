// Package history is what a run leaves behind: a folder of JSON lines, written
// while it happens, from which any verdict can be drawn again.
package history

import (
	"time"

	"github.com/google/uuid"
)

// The files of a run folder.
const (
	ConfigFile      = "config.json"
	CallsFile       = "calls.jsonl"       // what clients asked and were told
	ArrivalsFile    = "arrivals.jsonl"    // what the witness saw
	AnswersFile     = "answers.jsonl"     // when the witness answered them
	EventsFile      = "events.jsonl"      // what was done to the system
	RowsFile        = "rows.jsonl"        // Postgres, after the drain
	TransitionsFile = "transitions.jsonl" // every change of a task, as Postgres committed it
	SessionsFile    = "sessions.jsonl"    // the workers' sessions
	RingFile        = "ring.jsonl"        // Redis, after the drain
	VitalsFile      = "vitals.jsonl"      // what every process held, before and after
	SettledFile     = "settled.json"      // what was still wrong when the time to converge was over
)

// Outcome is what a client knows of its call.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // it happened
	Fail    Outcome = "fail"    // it did not happen, and will not
	Unknown Outcome = "unknown" // it may have happened, or happen yet
)

// Call is one request as its client saw it, all retries of a keyed create
// together.
type Call struct {
	// Op is create, delete or get.
	Op string `json:"op"`
	// N names the create that this is, or that made the task. It stands in the
	// task's payload too, so that a task can be told whose it is although no
	// answer came.
	N           int64     `json:"n"`
	Task        uuid.UUID `json:"task,omitzero"`
	Due         time.Time `json:"due,omitzero"`
	MaxAttempts int       `json:"max_attempts,omitempty"`
	Keyed       bool      `json:"keyed,omitempty"`
	Invoked     time.Time `json:"invoked"`
	Returned    time.Time `json:"returned"`
	Outcome     Outcome   `json:"outcome"`
	// Status is the task's, if the answer told it.
	Status string `json:"status,omitempty"`
	// Why is the code of a problem, or the transport's error.
	Why string `json:"why,omitempty"`
	// Tries is how often a request was sent for it.
	Tries int `json:"tries,omitempty"`
}

// Arrival is one execution as the outside world saw it, or the answer to it.
type Arrival struct {
	N       int64     `json:"n"`
	Task    uuid.UUID `json:"task"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
}

// Event is something that was done to the system, or that befell it.
type Event struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	// To is the process or the store, if it was one.
	To     string `json:"to,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// What befalls a process. All but Ended have its id as their detail; what ended is
// the process of that name which started last.
const (
	Started    = "started"
	Ended      = "ended"
	Stopped    = "stopped by a signal"
	Continued  = "continued"
	ToldToStop = "told to stop"
)

// What users do to a type of the load, whose name is To. Paused and Limited were answered; Limited has the
// limit as its detail. Freed is about to be asked for.
const (
	Paused  = "type paused"
	Limited = "type limited"
	Freed   = "type freed"
)

// Session is a worker's session as Postgres has it after the drain.
type Session struct {
	ID uuid.UUID `json:"id"`
	// Host ends with the id of the process.
	Host string `json:"host"`
}

// Row is a task as Postgres has it after the drain.
type Row struct {
	ID          uuid.UUID `json:"id"`
	N           int64     `json:"n"`
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	Due         time.Time `json:"due"`
	Attempt     int       `json:"attempt"`
	MaxAttempts int       `json:"max_attempts"`
	Failure     string    `json:"failure,omitempty"`
	Created     time.Time `json:"created"`
}

// Transition is one change of a task's row, in the order in which Postgres
// made them.
type Transition struct {
	Seq     int64     `json:"seq"`
	Task    uuid.UUID `json:"task"`
	From    string    `json:"from"` // empty: the row is new
	To      string    `json:"to"`   // empty: the row is gone
	Attempt int       `json:"attempt"`
	Max     int       `json:"max"`
	Worker  uuid.UUID `json:"worker,omitzero"`
	// SessionDead: the session that the change names had been marked dead.
	SessionDead bool      `json:"session_dead,omitempty"`
	Failure     string    `json:"failure,omitempty"`
	Due         time.Time `json:"due"` // before the change
	At          time.Time `json:"at"`
}

// RingEntry is one member of a sorted set of Redis.
type RingEntry struct {
	Key    string  `json:"key"`
	Member string  `json:"member"`
	Score  float64 `json:"score"`
}

// Vitals are what a process holds.
type Vitals struct {
	Node string `json:"node"`
	// When is "before" or "after" the faults.
	When        string `json:"when"`
	PID         int    `json:"pid"`
	Goroutines  int    `json:"goroutines"`
	Descriptors int    `json:"descriptors"`
	// Connections are those of all nodes to Postgres, if Node is "postgres".
	Connections int   `json:"connections,omitempty"`
	RSS         int64 `json:"rss_bytes,omitempty"`
}

// Settled says how the system converged after the last fault.
type Settled struct {
	Took  float64  `json:"took_seconds"`
	Limit float64  `json:"limit_seconds"`
	Wrong []string `json:"wrong"`
}
