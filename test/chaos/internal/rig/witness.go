package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// Witness is where the tasks' effects go. It knows of executions what the
// scheduler cannot gloss over: each one is noted before it is answered.
//
// Its paths are /<behaviour>/<n>, n being the number of the create. Behaviours:
// ok answers at once; slow takes a while; flaky fails the first attempt.
type Witness struct {
	server *http.Server
	addr   string
	ended  chan error
	record *history.Recorder
	total  atomic.Int64

	// rude is how many of a thousand effects are not answered: the connection
	// breaks after the effect.
	rude atomic.Int64

	mu      sync.Mutex
	arrived map[uuid.UUID]int
	watch   func(history.Arrival)
}

// Rude makes so many of a thousand effects break their connection instead of
// answering.
func (w *Witness) Rude(permille int64) { w.rude.Store(permille) }

// slowAnswer is how long a slow effect takes.
const slowAnswer = 400 * time.Millisecond

// NewWitness listens on loopback until Close.
func NewWitness(record *history.Recorder) (*Witness, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return nil, fmt.Errorf("start the witness: %w", err)
	}
	w := &Witness{
		addr: listener.Addr().String(), ended: make(chan error, 1), record: record,
		arrived: map[uuid.UUID]int{},
	}
	w.server = &http.Server{Handler: http.HandlerFunc(w.hear), ReadHeaderTimeout: 10 * time.Second}
	go func() { w.ended <- w.server.Serve(listener) }()
	return w, nil
}

// URL is what the task of a create calls.
func (w *Witness) URL(behaviour string, n int64) string {
	return fmt.Sprintf("http://%s/%s/%d", w.addr, behaviour, n)
}

func (w *Witness) hear(out http.ResponseWriter, r *http.Request) {
	at := time.Now()
	behaviour, number, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, err := strconv.ParseInt(number, 10, 64)
	id, err2 := uuid.Parse(r.Header.Get("X-Task-Id"))
	attempt, err3 := strconv.Atoi(r.Header.Get("X-Task-Attempt"))
	if err := errors.Join(err, err2, err3); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	a := history.Arrival{N: n, Task: id, Attempt: attempt, At: at}
	w.record.Write(history.ArrivalsFile, a)
	w.total.Add(1)
	w.mu.Lock()
	w.arrived[id]++
	watch := w.watch
	w.mu.Unlock()
	if watch != nil {
		watch(a)
	}
	switch {
	case rand.Int64N(1000) < w.rude.Load():
		panic(http.ErrAbortHandler) // net/http's way to break the connection
	case behaviour == "slow":
		time.Sleep(slowAnswer)
	case behaviour == "flaky" && attempt == 1:
		http.Error(out, "not this time", http.StatusServiceUnavailable)
		return
	}
	a.At = time.Now()
	w.record.Write(history.AnswersFile, a)
	out.WriteHeader(http.StatusNoContent)
}

// Total is how many executions arrived.
func (w *Witness) Total() int64 { return w.total.Load() }

// Arrived is how often a task arrived.
func (w *Witness) Arrived(id uuid.UUID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived[id]
}

// Watch calls f with each arrival from now on.
func (w *Witness) Watch(f func(history.Arrival)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = f
}

// Close ends the witness once it has answered everybody.
func (w *Witness) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := errors.Join(w.server.Shutdown(ctx), w.server.Close())
	if served := <-w.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
