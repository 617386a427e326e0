package rig

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"sync"
	"time"
)

// Question is what the driver asks a witness, in JSON over standard input and output.
type Question string

// The questions. Ready is answered when the process is, with where it listens, and Release
// lets a worker go. Seen is how many tasks it has handled, and Lateness how long after its
// time each reached its handler, negative if before; of very many, the first only.
const (
	Ready    Question = "ready"
	Release  Question = "release"
	Seen     Question = "seen"
	Lateness Question = "lateness"
)

// keepSamples bounds the memory of a witness.
const keepSamples = 200_000

// listening finds in the log of timewheel's API where it listens.
var listening = regexp.MustCompile(`"http server listening","addr":"([^"]+)"`)

// Witness stands inside a process, whosever it is: it holds a worker back until the driver
// lets it go, sees every task that is handled, and tells the driver how late each was by
// this machine's wall clock.
type Witness struct {
	ready    chan string
	released chan struct{}

	mu   sync.Mutex
	seen int
	late []time.Duration
}

// NewWitness makes the witness of this process.
func NewWitness() *Witness {
	w := &Witness{ready: make(chan string, 1), released: make(chan struct{})}
	go w.serve()
	return w
}

// serve answers the driver until it is gone.
func (w *Witness) serve() {
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var question Question
	var err error
	for err == nil {
		if err = questions.Decode(&question); err == nil {
			err = answers.Encode(w.answer(question))
		}
	}
}

func (w *Witness) answer(question Question) any {
	w.mu.Lock()
	seen, late := w.seen, w.late
	w.mu.Unlock()
	switch question {
	case Ready:
		return <-w.ready
	case Release:
		close(w.released)
		return true
	case Seen:
		return seen
	case Lateness:
		return late
	}
	return nil
}

// Hold says that the worker is ready, and waits until the driver lets it go or, which is
// the error, for the end of ctx.
func (w *Witness) Hold(ctx context.Context) error {
	w.ready <- ""
	select {
	case <-w.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Write passes the log of an API on, and says that it is ready once it listens.
func (w *Witness) Write(line []byte) (int, error) {
	if found := listening.FindSubmatch(line); found != nil {
		w.ready <- string(found[1])
	}
	return os.Stderr.Write(line)
}

// Saw notes that the handler of a task that was due at this time is running.
func (w *Witness) Saw(due time.Time) {
	late := time.Since(due)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	if len(w.late) < keepSamples {
		w.late = append(w.late, late)
	}
}
