package rig

import (
	"context"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"regexp"
	"sync"
	"time"
)

// keepSamples bounds the memory of a witness.
const keepSamples = 200_000

// listening finds in the log of timewheel's API where it listens.
var listening = regexp.MustCompile(`"http server listening","addr":"([^"]+)"`)

// stdio connects the driver and a witness.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// Witness stands inside a process, whosever it is: it holds a worker back until
// the driver lets it go, sees every task that is handled, and tells the driver
// how late each was by this machine's wall clock. The driver calls it by net/rpc
// over standard input and output.
type Witness struct {
	ready    chan string
	released chan struct{}
	release  sync.Once

	mu   sync.Mutex
	seen int
	late []time.Duration
}

// NewWitness makes the witness of this process.
func NewWitness() (*Witness, error) {
	w := &Witness{ready: make(chan string, 1), released: make(chan struct{})}
	server := rpc.NewServer()
	if err := server.Register(w); err != nil {
		return nil, fmt.Errorf("serve the driver: %w", err)
	}
	go server.ServeConn(stdio{os.Stdin, os.Stdout})
	return w, nil
}

// Hold says that the worker is ready, and waits until the driver lets it go or,
// which is the error, for the end of ctx.
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

// Ready waits until the process is ready, and is where it listens.
func (w *Witness) Ready(_ int, address *string) error {
	*address = <-w.ready
	return nil
}

// Release lets the worker go.
func (w *Witness) Release(_ int, _ *int) error {
	w.release.Do(func() { close(w.released) })
	return nil
}

// Seen is how many tasks the worker has handled.
func (w *Witness) Seen(_ int, seen *int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	*seen = w.seen
	return nil
}

// Lateness is how long after its time each task reached its handler; negative
// is early. It holds the first tasks only, if there were very many.
func (w *Witness) Lateness(_ int, late *[]time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	*late = w.late
	return nil
}
