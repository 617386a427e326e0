// Package witness stands inside a worker process, whosever it is: it holds the
// worker back until the driver lets it go, sees every task that is handled,
// and tells the driver how late each was by this machine's wall clock.
package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	runtime "runtime/pprof"
	"sync"
	"time"
)

// keep bounds the samples that are kept, and so the memory of the witness.
const keep = 200_000

// shutdownPatience bounds the end of the witness's own server.
const shutdownPatience = 2 * time.Second

// Witness sees the tasks of one worker process.
type Witness struct {
	released chan struct{}
	release  sync.Once

	mu      sync.Mutex
	seen    int
	samples []int64

	profile bytes.Buffer // written while a profile is taken
}

// New makes a witness that holds its worker back.
func New() *Witness { return &Witness{released: make(chan struct{})} }

// Saw notes that the handler of a task that was due at this time is running.
func (w *Witness) Saw(due time.Time) {
	late := time.Since(due).Microseconds()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	if len(w.samples) < keep {
		w.samples = append(w.samples, late)
	}
}

// Released waits until the driver lets the worker go, or for the end of ctx.
func (w *Witness) Released(ctx context.Context) error {
	select {
	case <-w.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The driver's calls.
const (
	pathRelease      = "/bench/release"
	pathSeen         = "/bench/seen"
	pathSamples      = "/bench/samples"
	pathProfileStart = "/bench/profile/start"
	pathProfileStop  = "/bench/profile/stop"
)

// Handler answers the driver, and hands everything else to rest, which may be
// nil.
func (w *Witness) Handler(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathRelease, func(http.ResponseWriter, *http.Request) {
		w.release.Do(func() { close(w.released) })
	})
	mux.HandleFunc("GET "+pathSeen, func(out http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		answer(out, w.seen)
	})
	mux.HandleFunc("GET "+pathSamples, func(out http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		answer(out, w.samples)
	})
	mux.HandleFunc("POST "+pathProfileStart, func(out http.ResponseWriter, _ *http.Request) {
		w.profile.Reset()
		if err := runtime.StartCPUProfile(&w.profile); err != nil {
			http.Error(out, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("POST "+pathProfileStop, func(out http.ResponseWriter, _ *http.Request) {
		runtime.StopCPUProfile()
		_, _ = out.Write(w.profile.Bytes()) // A driver that is gone needs no profile.
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	if rest != nil {
		mux.Handle("/", rest)
	}
	return mux
}

func answer(out http.ResponseWriter, body any) {
	if err := json.NewEncoder(out).Encode(body); err != nil {
		http.Error(out, err.Error(), http.StatusInternalServerError)
	}
}

// Serve answers the driver on listener until ctx ends. It is for workers that
// have no HTTP of their own.
func (w *Witness) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: w.Handler(nil), ReadHeaderTimeout: shutdownPatience}
	defer context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPatience)
		defer cancel()
		_ = server.Shutdown(bounded) // The process ends anyway.
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the driver: %w", err)
	}
	return nil
}
