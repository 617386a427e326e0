package telemetry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Ready tells whether the service can do its work, and what it found: one
// word per dependency, "ok" or what is wrong. It never holds a secret.
type Ready func(context.Context) (checks map[string]string, ready bool)

// Health is the body of /livez and /readyz.
type Health struct {
	Status string            `json:"status" enum:"ok,unavailable" doc:"whether this process can do its work" example:"ok"`
	Checks map[string]string `json:"checks,omitempty" doc:"one word per dependency: ok, or what is wrong"`
}

// readyTimeout bounds one look at the dependencies. Healthcheck waits longer,
// so that it reads the answer instead of giving up before it.
const (
	readyTimeout       = 3 * time.Second
	healthcheckTimeout = 5 * time.Second
)

// ReadyPath is where every service tells whether it is ready.
const ReadyPath = "/readyz"

// Livez answers 200 as long as the process serves HTTP at all.
func Livez(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, Health{Status: "ok"})
}

// Readyz answers 200, or 503 while the service cannot do its work, with what
// was checked.
func Readyz(ready Ready) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		checks, ok := ready(ctx)
		if !ok {
			Unavailable(w, checks)
			return
		}
		writeHealth(w, http.StatusOK, Health{Status: "ok", Checks: checks})
	})
}

// Unavailable answers 503 with what was checked.
func Unavailable(w http.ResponseWriter, checks map[string]string) {
	writeHealth(w, http.StatusServiceUnavailable, Health{Status: "unavailable", Checks: checks})
}

// Metrics serves what the registry holds, in Prometheus' formats.
func Metrics(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry})
}

// Admin serves /livez, /readyz and /metrics of a service that has no other
// HTTP to serve.
func Admin(registry *prometheus.Registry, ready Ready) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", Livez)
	mux.Handle("GET "+ReadyPath, Readyz(ready))
	mux.Handle("GET /metrics", Metrics(registry))
	return mux
}

func writeHealth(w http.ResponseWriter, status int, health Health) {
	body, err := json.Marshal(health)
	if err != nil {
		http.Error(w, "health cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone
}

// Healthcheck asks the service that listens on this machine at listenAddr
// (host:port as in LISTEN_ADDR) whether it is ready. It returns an error if
// the service cannot be reached or answers anything but 200. Of one that serves HTTPS the
// certificate is not checked: it is this machine, and its name there is another one.
func Healthcheck(listenAddr string, https bool) error {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return fmt.Errorf("read listen address: %w", err)
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthcheckTimeout)
	defer cancel()
	scheme := "http"
	if https {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(host, port) + ReadyPath
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("build health request: %w", err)
	}
	// Not the default transport: it would ask a proxy from the environment.
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // G402: see above
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if err := response.Body.Close(); err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: not ready, status %d", url, response.StatusCode)
	}
	return nil
}
