// Package check draws verdicts from the history of a run. It reads files, and
// neither clocks nor stores.
package check

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

// The checkers.
const (
	Schedule    = judge.ScheduleChecker // never early, never twice, and what was deleted never
	Lost        = "Lost"                // no worker is lost that lives
	Limits      = "Limits"              // pauses and limits of a type hold
	Multiset    = judge.MultisetChecker // as many tasks as were created
	Lists       = "Lists"               // a page shows each task once, newest first
	Linear      = "Linear"              // each client's answers fit one order of all
	Transitions = "Transitions"         // each task's changes are a word of the state machine
	Settle      = "Settle"              // the stores agree, and nothing that is due is open
	Leaks       = "Leaks"               // processes hold no more than before
)

// Names lists the checkers in the order of their reports.
func Names() []string {
	return []string{Schedule, Lost, Limits, Multiset, Lists, Linear, Transitions, Settle, Leaks}
}

// History is one run.
type History struct {
	judge.Record
	Events      []history.Event
	Vitals      []history.Vitals
	Pages       []history.Page
	Doubled     []judge.Row                   // those that the store has beside another one of the same id
	Answers     map[uuid.UUID][]judge.Arrival // those that the witness confirmed, and when
	Transitions map[uuid.UUID][]history.Transition
	Settled     *history.Settled
	Lease       time.Duration // of a session
	Retention   time.Duration // how long ended tasks are kept at least; 0: for longer than the run
}

// Load reads the run in dir.
func Load(dir string) (*History, error) {
	h := &History{
		Record:      judge.Record{Rows: map[uuid.UUID]judge.Row{}, Arrivals: map[uuid.UUID][]judge.Arrival{}},
		Answers:     map[uuid.UUID][]judge.Arrival{},
		Transitions: map[uuid.UUID][]history.Transition{},
	}
	err := errors.Join(
		history.Read(dir, history.ConfigFile, func(c history.Config) { h.Lease, h.Retention = c.System.Lease, c.System.Retention }),
		history.Read(dir, history.CallsFile, func(c judge.Call) { h.Calls = append(h.Calls, c) }),
		history.Read(dir, history.EventsFile, func(e history.Event) { h.Events = append(h.Events, e) }),
		history.Read(dir, history.VitalsFile, func(v history.Vitals) { h.Vitals = append(h.Vitals, v) }),
		history.Read(dir, history.RowsFile, func(r judge.Row) {
			if first, known := h.Rows[r.ID]; known {
				h.Doubled = append(h.Doubled, first)
			}
			h.Rows[r.ID] = r
		}),
		history.Read(dir, history.PagesFile, func(p history.Page) { h.Pages = append(h.Pages, p) }),
		history.Read(dir, history.ArrivalsFile, func(a judge.Arrival) { h.Arrivals[a.Task] = append(h.Arrivals[a.Task], a) }),
		history.Read(dir, history.AnswersFile, func(a judge.Arrival) { h.Answers[a.Task] = append(h.Answers[a.Task], a) }),
		history.Read(dir, history.TransitionsFile, func(t history.Transition) { h.Transitions[t.Task] = append(h.Transitions[t.Task], t) }),
		history.Read(dir, history.SettledFile, func(s history.Settled) { h.Settled = &s }),
	)
	if err == nil && h.Settled == nil {
		err = errors.New("the run did not come to its end")
	}
	return h, err
}

// All runs every checker.
func All(h *History) *judge.Verdict {
	v := judge.NewVerdict()
	lostWorkers(h, v) // the schedule asks which were lost
	schedule(h, v)
	limits(h, v)
	multiset(h, v)
	lists(h, v)
	linear(h, v)
	transitions(h, v)
	settle(h, v)
	leaks(h, v)
	lateness(h, v)
	return v
}

// schedule adds to the common judgement what the audit knows: when a task was said to be
// done, and why one failed.
func schedule(h *History, v *judge.Verdict) {
	judge.Schedule(&h.Record, v)
	for _, c := range h.Calls {
		if c.Op == "cancel" && c.Outcome == judge.OK && c.Status == string(task.Started) {
			cancelled(h, v, c)
		}
	}
	for id, row := range h.Rows {
		v.Counts["rows"]++
		switch task.Status(row.Status) {
		case task.Done:
			done(h, v, row)
		case task.Failed:
			if len(h.Arrivals[id]) == 0 && row.Failure == string(task.UnknownType) {
				v.Breach(judge.Lost, Schedule, "%s was never run: %s", id, row.Failure)
			}
			if row.Failure != "" {
				v.Counts["ended failed ("+row.Failure+")"]++
				continue
			}
		default: // nothing more is known of it
		}
		v.Counts["ended "+row.Status]++
	}
}

// cancelled judges that no attempt starts after a cancel that was answered.
func cancelled(h *History, v *judge.Verdict, c judge.Call) {
	v.Counts["cancelled while they ran"]++
	for _, step := range h.Transitions[c.Task] {
		if step.To == string(task.Started) && step.From != step.To && step.At.After(c.Returned) {
			v.Breach("cancelled but started", Schedule, "%s was cancelled in attempt %d, and started again", c.Task, step.Attempt-1)
		}
	}
}

// done judges a task that is said to be done: the attempt that it ended with
// had been answered before Postgres said so.
func done(h *History, v *judge.Verdict, row judge.Row) {
	steps := h.Transitions[row.ID]
	if len(h.Arrivals[row.ID]) == 0 || len(steps) == 0 {
		return // that is found elsewhere
	}
	end := steps[len(steps)-1]
	answered := slices.ContainsFunc(h.Answers[row.ID], func(a judge.Arrival) bool {
		return a.Attempt == end.Attempt && !a.At.After(end.At)
	})
	if !answered {
		v.Find(Schedule, "%s was done before its attempt %d was", row.ID, end.Attempt)
	}
}
