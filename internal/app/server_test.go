package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/telemetry"
)

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
	go func() { ended <- app.Serve(ctx, listener, handler, 0, slog.New(slog.DiscardHandler)) }()
	return listener.Addr().String(), func() error {
		cancel()
		return <-ended
	}
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
	err := app.Serve(t.Context(), listener, http.NotFoundHandler(), 0, slog.New(slog.DiscardHandler))
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
	mux.Handle("/", telemetry.Admin(telemetry.NewRegistry(), alwaysReady))
	mux.HandleFunc("/task", func(http.ResponseWriter, *http.Request) {})
	go func() {
		// Long enough that it is the clients who end it: the test fails otherwise.
		stopped <- app.Serve(ctx, listener, mux, 2*time.Second, slog.New(slog.DiscardHandler))
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

func alwaysReady(context.Context) (map[string]string, bool) { return map[string]string{}, true }
