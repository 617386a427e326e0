package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

func TestErrorsOfTheStore(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		code   string
		logged bool
	}{
		{fmt.Errorf("create task: %w", task.ErrUnavailable), 503, "unavailable", false},
		{fmt.Errorf("create task: %w", task.ErrUnknownOutcome), 503, "outcome_unknown", false},
		{fmt.Errorf("create task: %w", &task.RejectedError{Reason: "numeric overflow"}), 422, "rejected_by_store", false},
		{errors.New("SELECT secret FROM hunter2"), 500, "internal", true},
	} {
		s := newService(t)
		s.fail = func(context.Context) error { return test.err }
		a := s.do(t, "POST", "/task", good, "X-Request-Id", "mine-7")
		requireProblem(t, a, test.status, test.code)
		require.Equal(t, "mine-7", a.body["request_id"])
		require.NotContains(t, a.Body.String(), "hunter2")
		require.Equal(t, test.logged, strings.Contains(s.log.String(), "mine-7"), s.log.String())
		if test.status == 503 {
			s.fail = func(context.Context) error { return task.ErrUnavailable }
			requireProblem(t, s.do(t, "GET", "/task", ""), 503, "unavailable")
			requireProblem(t, s.do(t, "GET", "/task/"+uuid.NewString(), ""), 503, "unavailable")
			requireProblem(t, s.do(t, "DELETE", "/task/"+uuid.NewString(), ""), 503, "unavailable")
		}
	}
}

func TestAPanicIsAnswered(t *testing.T) {
	s := newService(t)
	s.fail = func(context.Context) error { panic("hunter2") }
	a := s.do(t, "POST", "/task", good)
	requireProblem(t, a, 500, "internal")
	require.NotContains(t, a.Body.String(), "hunter2")
	require.Contains(t, s.log.String(), a.Header().Get("X-Request-Id"))
	require.Contains(t, s.log.String(), "hunter2")
	s.fail = nil
	for range 20 { // the slots of the panicked requests were given back
		require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
	}
}

func TestRequestID(t *testing.T) {
	s := newService(t)
	require.Equal(t, "a.b-c", s.do(t, "GET", "/livez", "", "X-Request-Id", "a.b-c").Header().Get("X-Request-Id"))
	for _, bad := range []string{"two words", "line\nbreak", strings.Repeat("x", 129), "é"} {
		made := s.do(t, "GET", "/livez", "", "X-Request-Id", bad).Header().Get("X-Request-Id")
		require.NotEqual(t, bad, made)
		require.Regexp(t, `^[A-Z2-7]{26}$`, made)
	}
}

func TestOverload(t *testing.T) {
	s := newService(t, func(o *httpapi.Options) { o.MaxInFlight = 1 })
	entered, release := make(chan struct{}), make(chan struct{})
	s.fail = func(context.Context) error {
		close(entered)
		<-release
		return nil
	}
	ended := make(chan int, 1)
	go func() {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/task", strings.NewReader(good))
		request.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(recorder, request)
		ended <- recorder.Code
	}()
	<-entered
	requireProblem(t, s.do(t, "POST", "/task", good), 429, "overloaded")
	requireProblem(t, s.do(t, "GET", "/task", ""), 429, "overloaded")
	require.Equal(t, 200, s.do(t, "GET", "/livez", "").Code)
	require.Equal(t, 200, s.do(t, "GET", "/metrics", "").Code)
	close(release)
	require.Equal(t, 201, <-ended)
	s.fail = nil
	require.Equal(t, 201, s.do(t, "POST", "/task", good).Code)
}

func TestAClientThatLeaves(t *testing.T) {
	s := newService(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.fail = func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	}
	send := func(method, path, body string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		s.ServeHTTP(recorder, request)
		return recorder.Code
	}
	require.Equal(t, 499, send("POST", "/task/batch", batchOf(good)), "its place is free")
	require.Equal(t, 499, send("POST", "/task", good), "its place is free")
	require.Equal(t, 499, send("GET", "/task", ""))
	require.Empty(t, s.log.String())
}

func TestHealthAndMetrics(t *testing.T) {
	ready := false
	s := newService(t, func(o *httpapi.Options) {
		o.Ready = func(context.Context) (map[string]string, bool) {
			return map[string]string{"postgres": "unreachable", "redis": "ok"}, ready
		}
	})
	a := s.do(t, "GET", "/readyz", "")
	require.Equal(t, 503, a.Code)
	require.Equal(t, map[string]any{"status": "unavailable", "checks": map[string]any{"postgres": "unreachable", "redis": "ok"}}, a.body)
	ready = true
	require.Equal(t, 200, s.do(t, "GET", "/readyz", "").Code)
	require.Equal(t, 200, s.do(t, "GET", "/livez", "").Code)

	s.do(t, "POST", "/task", good)
	s.do(t, "BREW", "/nowhere", "")
	metrics := s.do(t, "GET", "/metrics", "").Body.String()
	require.Contains(t, metrics, `timewheel_http_request_duration_seconds_count{code="201",method="POST",route="/task"} 1`)
	require.Contains(t, metrics, `timewheel_http_request_duration_seconds_count{code="404",method="other",route="none"} 1`)
}
