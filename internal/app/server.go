package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/timewheel/timewheel/internal/telemetry"
)

// Bounds of a connection. A request is small and answered in milliseconds, so
// they only have to stop clients that trickle.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 10 * time.Second
)

// serve serves HTTP on listener until ctx ends, and stops so that no client
// notices: for the time of delay it serves on, but /readyz answers 503, for
// balancers, and each answer closes its connection, for clients that keep one.
// Then it takes no new connection, lets the requests in work end within 10 s, and
// returns. It closes the listener. The error is nil after an orderly stop.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, delay time.Duration, log *slog.Logger) error {
	server := &http.Server{
		Handler:           untilStopped(ctx, handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What net/http reports here are clients' faults.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	addr := listener.Addr().String()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	log.InfoContext(ctx, "http server listening", "addr", addr)

	select {
	case err := <-stopped:
		return fmt.Errorf("serve http on %s: %w", addr, err)
	case <-ctx.Done():
	}
	select {
	case err := <-stopped:
		return fmt.Errorf("serve http on %s: %w", addr, err)
	case <-time.After(delay):
	}

	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(bounded)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down http on %s: %w", addr, err), server.Close())
	}
	if served := <-stopped; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve http on %s: %w", addr, served))
	}
	return err
}

// untilStopped tells balancers and clients to go elsewhere once ctx has ended.
func untilStopped(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
			if r.URL.Path == telemetry.ReadyPath {
				telemetry.Unavailable(w, map[string]string{"shutdown": "in progress"})
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
}
