package rig

import (
	"context"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"regexp"
	"sync"
	"time"
)

// keepSamples bounds the memory of a witness.
const keepSamples = 200_000

// WitnessAnnounced finds in a worker's log where its witness listens.
var WitnessAnnounced = regexp.MustCompile(`the witness listens at (\S+)\n`)

// Witness stands inside a worker process, whosever it is: it holds the worker
// back until the driver lets it go, sees every task that is handled, and tells
// the driver how late each was by this machine's wall clock. The driver calls
// Release, Seen and Lateness from its own process, by net/rpc.
type Witness struct {
	listener net.Listener
	released chan struct{}
	release  sync.Once

	mu   sync.Mutex
	seen int
	late []time.Duration
}

// NewWitness makes a witness that listens until the process ends.
func NewWitness() (*Witness, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // It does not wait.
	if err != nil {
		return nil, fmt.Errorf("listen for the driver: %w", err)
	}
	w := &Witness{listener: listener, released: make(chan struct{})}
	server := rpc.NewServer()
	if err := server.Register(w); err != nil {
		return nil, fmt.Errorf("serve the driver: %w", err)
	}
	go server.Accept(listener)
	return w, nil
}

// Hold says that the worker is ready, and waits until the driver lets it go or,
// which is the error, for the end of ctx.
func (w *Witness) Hold(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "the witness listens at %s\n", w.listener.Addr())
	select {
	case <-w.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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

// Ask calls the process's witness: Release, Seen or Lateness.
func (p *Process) Ask(method string, answer any) (err error) {
	if p.witness == nil {
		if p.witness, err = rpc.Dial("tcp", p.Address); err != nil {
			return fmt.Errorf("connect to a witness: %w", err)
		}
	}
	if err := p.witness.Call("Witness."+method, 0, answer); err != nil {
		return fmt.Errorf("ask a witness: %w", err)
	}
	return nil
}
