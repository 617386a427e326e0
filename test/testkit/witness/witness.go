// Package witness is a receiver of webhooks. It knows of executions what the scheduler
// cannot gloss over: how often a task's effect really happened, and when.
package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Call is one execution as the outside world saw it.
type Call struct {
	Task    uuid.UUID
	Attempt int
	// Path is that of the URL which the task calls.
	Path string
	// Body is what the task sent. It is read before the call is answered.
	Body io.Reader
	At   time.Time
}

// Witness listens on loopback.
type Witness struct {
	server *http.Server
	addr   string
	ended  chan error
}

// stopTimeout is how long calls that are under way have when the witness is closed.
const stopTimeout = 5 * time.Second

// Start listens until Close, and calls hear with each call before it is answered. What
// hear does not answer is answered 200. A request that names no task is answered 400 and
// is not a call.
func Start(hear func(Call, http.ResponseWriter)) (*Witness, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return nil, fmt.Errorf("start the witness: %w", err)
	}
	w := &Witness{addr: listener.Addr().String(), ended: make(chan error, 1)}
	w.server = &http.Server{ReadHeaderTimeout: 30 * time.Second, Handler: http.HandlerFunc(
		func(out http.ResponseWriter, r *http.Request) {
			at := time.Now()
			id, err := uuid.Parse(r.Header.Get("X-Task-Id"))
			attempt, err2 := strconv.Atoi(r.Header.Get("X-Task-Attempt"))
			if err := errors.Join(err, err2); err != nil {
				http.Error(out, err.Error(), http.StatusBadRequest)
				return
			}
			hear(Call{Task: id, Attempt: attempt, Path: r.URL.Path, Body: r.Body, At: at}, out)
		})}
	go func() { w.ended <- w.server.Serve(listener) }()
	return w, nil
}

// URL is what a task calls to reach this path, which begins with a slash.
func (w *Witness) URL(path string) string { return "http://" + w.addr + path }

// Close ends the witness once it has answered everybody, or after a few seconds.
func (w *Witness) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := errors.Join(w.server.Shutdown(ctx), w.server.Close())
	if served := <-w.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop the witness: %w", err)
	}
	return nil
}
