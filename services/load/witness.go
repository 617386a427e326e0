package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// arrival is one execution as the outside world saw it.
type arrival struct {
	attempt string
	at      time.Time
}

// witness is a sink for webhooks. It knows of executions what the scheduler
// cannot gloss over: how often a task's effect really happened, and when.
type witness struct {
	url    string
	server *http.Server
	ended  chan error

	mu   sync.Mutex
	seen map[uuid.UUID][]arrival
}

// startWitness listens on a free port of loopback. Only requests that name
// the run count, so that tasks left over by an earlier one do not.
func startWitness(run string) (*witness, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return nil, fmt.Errorf("start witness: %w", err)
	}
	w := &witness{
		url:   "http://" + listener.Addr().String() + "/" + run,
		ended: make(chan error, 1),
		seen:  map[uuid.UUID][]arrival{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+run, w.record)
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: requestTimeout}
	go func() { w.ended <- w.server.Serve(listener) }()
	return w, nil
}

// payload makes a webhook task call this witness.
func (w *witness) payload() json.RawMessage {
	return fmt.Appendf(nil, `{"method":"POST","url":%q}`, w.url)
}

func (w *witness) record(out http.ResponseWriter, request *http.Request) {
	now := time.Now()
	id, err := uuid.Parse(request.Header.Get("X-Task-Id"))
	if err != nil {
		http.Error(out, "X-Task-Id is missing or not a UUID", http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.seen[id] = append(w.seen[id], arrival{attempt: request.Header.Get("X-Task-Attempt"), at: now})
	w.mu.Unlock()
	out.WriteHeader(http.StatusNoContent)
}

// arrivals is a copy of what was seen up to now, in order of arrival.
func (w *witness) arrivals() map[uuid.UUID][]arrival {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := maps.Clone(w.seen)
	for id := range out {
		out[id] = slices.Clone(out[id])
	}
	return out
}

// stop ends the sink, and what still arrives after a few seconds is cut off.
func (w *witness) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := w.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, w.server.Close())
	}
	if served := <-w.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop witness: %w", err)
	}
	return nil
}
