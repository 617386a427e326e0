// Package witness stands inside a worker process, whosever it is: it holds the
// worker back until the driver lets it go, sees every task that is handled,
// and tells the driver how late each was by this machine's wall clock.
package witness

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

// keep bounds the samples that are kept, and so the memory of the witness.
const keep = 200_000

// Announced finds in a worker's log where its witness listens, as host:port.
var Announced = regexp.MustCompile(`the witness listens at (\S+)\n`)

// Witness sees the tasks of one worker process. The driver calls Release, Seen
// and Lateness from its own, in the form that net/rpc wants.
type Witness struct {
	listener net.Listener
	released chan struct{}
	release  sync.Once

	mu   sync.Mutex
	seen int
	late []time.Duration
}

// Start makes a witness that holds its worker back. It listens until the
// process ends.
func Start() (*Witness, error) {
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
	if len(w.late) < keep {
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

// Remote is the driver's view of a witness in another process.
type Remote struct{ client *rpc.Client }

// Dial connects to the witness that listens at this address.
func Dial(address string) (Remote, error) {
	client, err := rpc.Dial("tcp", address)
	if err != nil {
		return Remote{}, fmt.Errorf("connect to a witness: %w", err)
	}
	return Remote{client}, nil
}

// Close ends the connection.
func (r Remote) Close() error { return r.client.Close() }

// Release is that of the witness.
func (r Remote) Release() error {
	_, err := call[int](r, "Release")
	return err
}

// Seen is that of the witness.
func (r Remote) Seen() (int, error) { return call[int](r, "Seen") }

// Lateness is that of the witness.
func (r Remote) Lateness() ([]time.Duration, error) { return call[[]time.Duration](r, "Lateness") }

func call[T any](r Remote, method string) (answer T, err error) {
	if err := r.client.Call("Witness."+method, 0, &answer); err != nil {
		return answer, fmt.Errorf("ask a witness: %w", err)
	}
	return answer, nil
}
