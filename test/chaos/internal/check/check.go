// Package check draws verdicts from the history of a run. It reads files, and
// neither clocks nor stores.
package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// The checkers.
const (
	Schedule        = "K1 schedule"        // never early, never twice, and what was deleted never
	Multiset        = "K2 multiset"        // as many tasks as were created
	Linearizability = "K3 linearizability" // each client's answers fit one order of all
	Transitions     = "K4 transitions"     // each task's changes are a word of the state machine
	Convergence     = "K5 convergence"     // the stores agree, and nothing that is due is open
	Leaks           = "K6 leaks"           // processes hold no more than before
)

// History is one run.
type History struct {
	Calls    []history.Call
	Events   []history.Event
	Vitals   []history.Vitals
	Rows     map[uuid.UUID]history.Row
	Arrivals map[uuid.UUID][]history.Arrival
	// Answers are the arrivals that the witness confirmed, and when.
	Answers     map[uuid.UUID][]history.Arrival
	Transitions map[uuid.UUID][]history.Transition
	Settled     *history.Settled
	// Processes are the workers' sessions, by the id of their process.
	Processes map[uuid.UUID]string
	// Lease is that of a session.
	Lease time.Duration
}

// Load reads the run in dir.
func Load(dir string) (*History, error) {
	h := &History{
		Rows:        map[uuid.UUID]history.Row{},
		Arrivals:    map[uuid.UUID][]history.Arrival{},
		Answers:     map[uuid.UUID][]history.Arrival{},
		Transitions: map[uuid.UUID][]history.Transition{},
	}
	var err error
	if h.Calls, err = history.Read[history.Call](dir, history.CallsFile); err != nil {
		return nil, err
	}
	if h.Events, err = history.Read[history.Event](dir, history.EventsFile); err != nil {
		return nil, err
	}
	if h.Vitals, err = history.Read[history.Vitals](dir, history.VitalsFile); err != nil {
		return nil, err
	}
	rows, err := history.Read[history.Row](dir, history.RowsFile)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		h.Rows[r.ID] = r
	}
	arrivals, err := history.Read[history.Arrival](dir, history.ArrivalsFile)
	if err != nil {
		return nil, err
	}
	for _, a := range arrivals {
		h.Arrivals[a.Task] = append(h.Arrivals[a.Task], a)
	}
	answers, err := history.Read[history.Arrival](dir, history.AnswersFile)
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		h.Answers[a.Task] = append(h.Answers[a.Task], a)
	}
	transitions, err := history.Read[history.Transition](dir, history.TransitionsFile)
	if err != nil {
		return nil, err
	}
	for _, t := range transitions {
		h.Transitions[t.Task] = append(h.Transitions[t.Task], t)
	}
	if err := h.loadSessions(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, history.SettledFile)) //nolint:gosec // G304: as in history.Read.
	if err == nil {
		err = json.Unmarshal(text, &h.Settled)
	}
	if err != nil {
		return nil, fmt.Errorf("read how the run settled: %w", err)
	}
	return h, nil
}

// Verdict is what the checkers found.
type Verdict struct {
	// Found are the broken promises, by checker; the first few of each.
	Found map[string][]string `json:"found"`
	// Counts tell the run's size and what became of it.
	Counts map[string]int `json:"counts"`
	totals map[string]int
}

// keep bounds the findings of one checker that are kept in words.
const keep = 20

func (v *Verdict) find(checker, format string, args ...any) {
	v.totals[checker]++
	if len(v.Found[checker]) < keep {
		v.Found[checker] = append(v.Found[checker], fmt.Sprintf(format, args...))
	}
}

// Broken lists the checkers that found something, in order.
func (v *Verdict) Broken() []string { return slices.Sorted(maps.Keys(v.Found)) }

// Total is how many findings a checker had.
func (v *Verdict) Total(checker string) int { return v.totals[checker] }

// All runs every checker.
func All(h *History) *Verdict {
	v := &Verdict{Found: map[string][]string{}, Counts: map[string]int{}, totals: map[string]int{}}
	schedule(h, v)
	limits(h, v)
	lostWorkers(h, v)
	multiset(h, v)
	linearizable(h, v)
	transitions(h, v)
	converged(h, v)
	leaks(h, v)
	lateness(h, v)
	return v
}
