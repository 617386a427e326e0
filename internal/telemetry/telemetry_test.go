package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

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

func TestHealthcheck(t *testing.T) {
	ready := make(chan bool, 1)
	server := httptest.NewServer(telemetry.Admin(telemetry.NewRegistry(), func(context.Context) (map[string]string, bool) {
		return nil, <-ready
	}))
	addr := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)

	for _, listen := range []string{addr, ":" + port, "0.0.0.0:" + port} {
		ready <- true
		require.NoError(t, telemetry.Healthcheck(listen, false))
	}
	ready <- false
	require.ErrorContains(t, telemetry.Healthcheck(addr, false), "status 503")
	server.Close()
	require.ErrorContains(t, telemetry.Healthcheck(addr, false), "refused")
	require.Error(t, telemetry.Healthcheck("nonsense", false))
}
