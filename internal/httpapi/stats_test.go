package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func TestStats(t *testing.T) {
	s := newService(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s.stats = task.Stats{At: at}
	a := s.do(t, "GET", "/stats", "")
	require.Equal(t, map[string]any{
		"as_of": "2030-01-02T03:04:05.000000Z", "types": map[string]any{}, "overdue": 0.0, "oldest_overdue": nil,
		"due": map[string]any{"minute": 0.0, "hour": 0.0, "day": 0.0},
	}, a.body)
	s.stats = task.Stats{
		At: at, Overdue: 10_000, OldestOverdue: &at,
		Types: map[string]map[task.Status]int{"foo": {task.Submitted: 10_000, task.Done: 10_001, task.Started: 7}},
	}
	s.stats.DueIn.Day = 10_001
	a = s.do(t, "GET", "/stats", "")
	require.Equal(t, map[string]any{
		"as_of": "2030-01-02T03:04:05.000000Z", "overdue": 10_000.0, "oldest_overdue": "2030-01-02T03:04:05.000000Z",
		"types": map[string]any{"foo": map[string]any{"submitted": 10_000.0, "started_executing": 7.0, "done": "10000+", "failed": 0.0, "deleted": 0.0}},
		"due":   map[string]any{"minute": 0.0, "hour": 0.0, "day": "10000+"},
	}, a.body)
	requireProblem(t, s.do(t, "GET", "/stats?type=foo", ""), 422, "invalid")
	s.fail = func(context.Context) error { return task.ErrUnavailable }
	requireProblem(t, s.do(t, "GET", "/stats", ""), 503, "unavailable")
}

// Those who ask while counts are made share them, also if the one who asked first leaves. Who
// asks later has counts of his own, unless they took long.
func TestStatsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		took := time.Second
		s.fail = func(ctx context.Context) error {
			time.Sleep(took)
			return ctx.Err()
		}
		get := func(ctx context.Context) int {
			recorder := httptest.NewRecorder()
			s.ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, http.MethodGet, "/stats", http.NoBody))
			return recorder.Code
		}
		ctx, leave := context.WithCancel(t.Context())
		first := make(chan int)
		go func() { first <- get(ctx) }()
		synctest.Wait()
		var group sync.WaitGroup
		codes := make([]int, 5)
		for i := range codes {
			group.Go(func() { codes[i] = get(t.Context()) })
		}
		synctest.Wait()
		leave()
		require.NotEqual(t, 200, <-first)
		group.Wait()
		require.Equal(t, []int{200, 200, 200, 200, 200}, codes)
		require.Equal(t, 1, s.counted)

		require.Equal(t, 200, get(t.Context()))
		require.Equal(t, 1, s.counted, "they are kept")
		time.Sleep(time.Minute)
		took = time.Millisecond
		for range 2 {
			require.Equal(t, 200, get(t.Context()))
		}
		require.Equal(t, 3, s.counted, "they are not")
	})
}
