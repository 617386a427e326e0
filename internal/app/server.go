package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/timewheel/timewheel/internal/certs"
	"github.com/timewheel/timewheel/internal/config"
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
// returns. It closes the listener. The error is nil after an orderly stop. With a pair it serves
// HTTPS.
func serve(
	ctx context.Context, listener net.Listener, pair *certs.Pair, handler http.Handler, delay time.Duration, log *slog.Logger,
) error {
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
	if pair == nil {
		go func() { stopped <- server.Serve(listener) }()
	} else {
		server.TLSConfig = pair.Config()
		watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
		var watch sync.WaitGroup
		watch.Go(func() { _ = pair.Watch(watching) }) // which ends without an error
		defer watch.Wait()
		defer stopWatching()
		go func() { stopped <- server.ServeTLS(listener, "", "") }()
	}
	log.InfoContext(ctx, "http server listening", "addr", addr, "tls", pair != nil)

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

// loadPair reads the certificate of a program that serves HTTPS. It is nil for one that does not.
func loadPair(cfg config.Shared, registry prometheus.Registerer, log *slog.Logger) (*certs.Pair, error) {
	if cfg.TLSCert == "" {
		return nil, nil //nolint:nilnil // no pair is what was asked for
	}
	pair, err := certs.Load(cfg.TLSCert, cfg.TLSKey, log)
	if err == nil {
		pair.Register(registry)
	}
	return pair, err
}

// isLoopback reports whether only this machine reaches a listener.
func isLoopback(listener net.Listener) bool {
	addr, ok := listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}
