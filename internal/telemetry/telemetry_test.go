package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelWarn, "json")
	log.Info("hidden")
	log.Warn("shown", "task_id", 7)
	var record map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &record))
	require.Equal(t, "shown", record["msg"])
	require.InDelta(t, 7, record["task_id"], 0)

	out.Reset()
	telemetry.NewLogger(&out, slog.LevelInfo, "text").Info("plain")
	require.Contains(t, out.String(), "level=INFO msg=plain")
}

func readiness(ready bool) telemetry.Ready {
	return func(context.Context) (map[string]string, bool) {
		return map[string]string{"postgres": "ok", "redis": "connection refused"}, ready
	}
}

func TestAdmin(t *testing.T) {
	for _, test := range []struct {
		path   string
		ready  bool
		status int
		body   string
	}{
		{"/livez", false, 200, `{"status":"ok"}`},
		{"/readyz", true, 200, `{"status":"ok","checks":{"postgres":"ok","redis":"connection refused"}}`},
		{"/readyz", false, 503, `{"status":"unavailable","checks":{"postgres":"ok","redis":"connection refused"}}`},
	} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.path, http.NoBody)
		telemetry.Admin(telemetry.NewRegistry(), readiness(test.ready)).ServeHTTP(answer, request)
		require.Equal(t, test.status, answer.Code, test.path)
		require.JSONEq(t, test.body, answer.Body.String())
		require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	}

	answer := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	telemetry.Admin(telemetry.NewRegistry(), readiness(true)).ServeHTTP(answer, request)
	require.Equal(t, 200, answer.Code)
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total", "go_build_info"} {
		require.Contains(t, answer.Body.String(), "\n"+name)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

// serve runs Serve on a free port and returns its address, and a function
// that ends it and gives Serve's error.
func serve(t *testing.T, handler http.Handler) (addr string, stop func() error) {
	t.Helper()
	listener := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- telemetry.Serve(ctx, listener, handler, 0, slog.New(slog.DiscardHandler)) }()
	return listener.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

func TestHealthcheck(t *testing.T) {
	ready := make(chan bool, 1)
	addr, stop := serve(t, telemetry.Admin(telemetry.NewRegistry(), func(context.Context) (map[string]string, bool) {
		return nil, <-ready
	}))
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)

	for _, listen := range []string{addr, ":" + port, "0.0.0.0:" + port} {
		ready <- true
		require.NoError(t, telemetry.Healthcheck(listen))
	}
	ready <- false
	require.ErrorContains(t, telemetry.Healthcheck(addr), "status 503")
	require.NoError(t, stop())
	require.ErrorContains(t, telemetry.Healthcheck(addr), "refused")
	require.Error(t, telemetry.Healthcheck("nonsense"))
}

func TestServeLetsRequestsInWorkEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	addr, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "whole")
		}
	}))
	answered := make(chan string, 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, http.NoBody)
	require.NoError(t, err)
	go func() {
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			answered <- err.Error()
			return
		}
		answered <- string(body)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	// The listener is closed first: from then on nobody can connect.
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond)
	close(release)
	require.NoError(t, <-stopped)
	require.Equal(t, "whole", <-answered)
}

func TestServeReportsALostListener(t *testing.T) {
	listener := listen(t)
	require.NoError(t, listener.Close())
	err := telemetry.Serve(t.Context(), listener, http.NotFoundHandler(), 0, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A client that keeps its connection, and one that comes through a balancer, are
// both sent elsewhere before the service stops: none is left without an answer.
func TestServeTakesLeaveOfItsClients(t *testing.T) {
	listener := listen(t)
	base := "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/", telemetry.Admin(telemetry.NewRegistry(), readiness(true)))
	mux.HandleFunc("/task", func(http.ResponseWriter, *http.Request) {})
	go func() {
		// Long enough that it is the clients who end it: the test fails otherwise.
		stopped <- telemetry.Serve(ctx, listener, mux, 2*time.Second, slog.New(slog.DiscardHandler))
	}()
	get := func(client http.RoundTripper, path string) (status int, closes bool, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, http.NoBody)
		require.NoError(t, err)
		response, err := client.RoundTrip(request)
		if err != nil {
			return 0, false, err
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Close, err
	}
	told := make(chan error, 16)
	var warm sync.WaitGroup
	for range cap(told) {
		warm.Add(1)
		go func() {
			client := &http.Transport{}
			defer client.CloseIdleConnections()
			for i := 0; ; i++ {
				_, closes, err := get(client, "/task")
				if i == 0 {
					warm.Done()
				}
				if err != nil || closes {
					told <- err
					return
				}
			}
		}()
	}
	warm.Wait()
	cancel()
	status, _, err := get(&http.Transport{DisableKeepAlives: true}, "/readyz")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status)
	for range cap(told) {
		require.NoError(t, <-told)
	}
	require.NoError(t, <-stopped)
}
