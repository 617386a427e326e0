// Package judge holds what clients were told and what a witness saw against what was
// asked: never early, never twice, never after a delete, and nothing lost in silence. It
// reads records, and neither clocks nor stores.
package judge

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Outcome is what a client knows of its call.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"      // it happened
	Fail    Outcome = "fail"    // it did not happen, and will not
	Unknown Outcome = "unknown" // it may have happened, or happen yet
)

// Call is one request as its client saw it, all tries of a create together.
type Call struct {
	Op string `json:"op"` // create, move, cancel, delete, get or list
	// N names the create that this is, or that made the task. It stands in the
	// task's payload too, so that a task can be told whose it is although no
	// answer came.
	N        int64     `json:"n"`
	Task     uuid.UUID `json:"task,omitzero"`
	Due      time.Time `json:"due,omitzero"` // of a create and of a move
	Invoked  time.Time `json:"invoked"`
	Returned time.Time `json:"returned"`
	Outcome  Outcome   `json:"outcome"`
	Status   string    `json:"status,omitempty"` // the task's, if the answer told it
	Code     int       `json:"code,omitempty"`   // HTTP status of a refusal, 0 if no answer came
	Why      string    `json:"why,omitempty"`    // code of a problem, or the transport's error
	Tries    int       `json:"tries,omitempty"`  // how often a create was sent
}

// Arrival is one execution as the outside world saw it, or the answer to it.
type Arrival struct {
	N       int64     `json:"n"`
	Task    uuid.UUID `json:"task"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
}

// Row is a task as the system has it in the end.
type Row struct {
	ID          uuid.UUID `json:"id"`
	N           int64     `json:"n"`
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	Due         time.Time `json:"due"`
	Attempt     int       `json:"attempt"`
	MaxAttempts int       `json:"max_attempts"`
	Failure     string    `json:"failure,omitempty"`
	Started     time.Time `json:"started,omitzero"`
	Finished    time.Time `json:"finished,omitzero"`
	NotAfter    time.Time `json:"not_after,omitzero"`
}

// Record is all that is known of a run from outside.
type Record struct {
	Calls    []Call
	Rows     map[uuid.UUID]Row
	Arrivals map[uuid.UUID][]Arrival
	// Lost are the attempts whose worker was found lost. It may have been stopped on
	// its way to the effect, which then comes late.
	Lost map[uuid.UUID][]int
}

// shown bounds the findings of one checker that are printed.
const shown = 20

// Verdict is what the checkers found.
type Verdict struct {
	Found  map[string][]string // the broken promises, by checker
	Counts map[string]int      // the run's size and what became of it
}

// NewVerdict is one that nothing was found for yet.
func NewVerdict() *Verdict {
	return &Verdict{Found: map[string][]string{}, Counts: map[string]int{}}
}

// Find notes a broken promise.
func (v *Verdict) Find(checker, format string, args ...any) {
	v.Found[checker] = append(v.Found[checker], fmt.Sprintf(format, args...))
}

// Breach notes a broken promise that is counted by its kind too.
func (v *Verdict) Breach(kind, checker, format string, args ...any) {
	v.Counts[kind]++
	v.Find(checker, format, args...)
}

// Broken lists the checkers that found something, in order.
func (v *Verdict) Broken() []string { return slices.Sorted(maps.Keys(v.Found)) }

// Print writes the counts and what these checkers found, for a person to read.
func (v *Verdict) Print(out io.Writer, checkers ...string) {
	for _, name := range slices.Sorted(maps.Keys(v.Counts)) {
		fmt.Fprintf(out, "%9d %s\n", v.Counts[name], name)
	}
	for _, checker := range checkers {
		found := v.Found[checker]
		if len(found) == 0 {
			fmt.Fprintf(out, "%s: ok\n", checker)
			continue
		}
		fmt.Fprintf(out, "%s: BROKEN, %d findings\n", checker, len(found))
		for _, what := range found[:min(shown, len(found))] {
			fmt.Fprintf(out, "    %s\n", what)
		}
	}
}
