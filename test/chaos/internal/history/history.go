// Package history is what a run leaves behind: a folder of JSON lines, written
// while it happens, from which any verdict can be drawn again.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

// The files of a run folder.
const (
	ConfigFile      = "config.json"
	CallsFile       = "calls.jsonl"       // what clients asked and were told
	PagesFile       = "pages.jsonl"       // what clients were shown of lists
	ArrivalsFile    = "arrivals.jsonl"    // what the witness saw
	AnswersFile     = "answers.jsonl"     // when the witness answered them
	EventsFile      = "events.jsonl"      // what was done to the system
	RowsFile        = "rows.jsonl"        // Postgres, after the drain
	TransitionsFile = "transitions.jsonl" // every change of a task, as Postgres committed it
	RingFile        = "ring.jsonl"        // Redis, after the drain
	VitalsFile      = "vitals.jsonl"      // what every process held, before and after
	SettledFile     = "settled.json"      // what was still wrong when the time to settle was over
)

// Config is what the checkers must know of how a run was set up.
type Config struct {
	System struct{ Lease, Retention time.Duration } `json:"system"`
}

// Event is something that was done to the system, or that befell it.
type Event struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"`
	To     string    `json:"to,omitempty"` // the process or the store, if it was one
	Detail string    `json:"detail,omitempty"`
}

// A fault begins, and is undone.
const (
	Fault     = "fault"
	FaultOver = "fault over"
)

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

// Transition is one change of a task's row, in the order in which Postgres
// made them.
type Transition struct {
	Seq         int64     `json:"seq"`
	Task        uuid.UUID `json:"task"`
	From        string    `json:"from"` // empty: the row is new
	To          string    `json:"to"`   // empty: the row is gone
	Attempt     int       `json:"attempt"`
	Max         int       `json:"max"`
	Worker      uuid.UUID `json:"worker"`
	Process     string    `json:"process"`      // the id of the worker's
	SessionDead bool      `json:"session_dead"` // the session that the change names was marked dead
	Failure     string    `json:"failure"`
	Due         time.Time `json:"due"` // before the change
	At          time.Time `json:"at"`
}

// Page is a page of a list of all tasks as a client saw it: those between After and Before,
// newest first. The zero value of these two is no bound.
type Page struct {
	Invoked  time.Time `json:"invoked"`
	Returned time.Time `json:"returned"`
	Before   uuid.UUID `json:"before,omitzero"`
	After    uuid.UUID `json:"after,omitzero"`
	Tasks    []Listed  `json:"tasks"`
}

// Listed is a task on a page.
type Listed struct {
	Task   uuid.UUID `json:"task"`
	Status string    `json:"status"`
}

// Vitals are what a process holds, once before the faults and once after them.
type Vitals struct {
	Node        string `json:"node"`
	Goroutines  int    `json:"goroutines"`
	Descriptors int    `json:"descriptors"`
	RSS         int    `json:"rss_bytes"`
	Connections int    `json:"connections,omitempty"` // of all nodes to Postgres, if Node is "postgres"
}

// Settled says how the system settled after the last fault.
type Settled struct {
	Took  float64  `json:"took_seconds"`
	Wrong []string `json:"wrong"`
}

// Recorder appends to the files of one run, each line at once, so that whoever watches
// sees it. Its methods may be called from anywhere; what goes wrong is kept and returned
// by Close.
type Recorder struct {
	Dir string

	mu    sync.Mutex
	files map[string]*os.File
	err   error
}

// NewRecorder makes the folder of a run.
func NewRecorder(dir string) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: the verdict is for everybody to read.
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	return &Recorder{Dir: dir, files: map[string]*os.File{}}, nil
}

// Write appends one line to a file of the run.
func (r *Recorder) Write(name string, line any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, err := r.files[name], error(nil)
	if file == nil {
		file, err = os.Create(filepath.Join(r.Dir, name)) //nolint:gosec // G304: the folder is the run's own.
		r.files[name] = file
	}
	if err == nil {
		err = json.NewEncoder(file).Encode(line)
	}
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("write the history: %w", err)
	}
}

// Event notes what was done, now.
func (r *Recorder) Event(what, to, detail string) {
	r.Write(EventsFile, Event{At: time.Now(), What: what, To: to, Detail: detail})
}

// Close returns the first error of any write.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	for _, file := range r.files {
		err = errors.Join(err, file.Close())
	}
	clear(r.files)
	return err
}

// Read gives each line of a file of the run in dir to take. A file that is not there
// has no lines.
func Read[T any](dir, name string, take func(T)) error {
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // G304: the folder is what the user asked to check.
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	defer f.Close()
	decoder := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	for n := 1; ; n++ {
		var line T
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read line %d of %s: %w", n, name, err)
		}
		take(line)
	}
}
