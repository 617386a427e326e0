package task_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timewheel/timewheel/internal/task"
)

func TestCeil(t *testing.T) {
	t.Parallel()
	at := func(second, nanosecond int) time.Time {
		return time.Date(2030, 1, 2, 3, 4, second, nanosecond, time.UTC)
	}
	for _, c := range []struct{ in, want time.Time }{
		{at(5, 0), at(5, 0)},
		{at(5, 1), at(5, 1000)},
		{at(5, 999), at(5, 1000)},
		{at(5, 1000), at(5, 1000)},
		{at(5, 1001), at(5, 2000)},
		{at(5, 999_999_001), at(6, 0)},
		{time.Unix(0, -1).UTC(), time.Unix(0, 0).UTC()},
		{time.Unix(0, -1001).UTC(), time.UnixMicro(-1).UTC()},
		{task.MinTime, task.MinTime},
		{task.MinTime.Add(1), task.MinTime.Add(time.Microsecond)},
		{task.MaxTime, task.MaxTime},
	} {
		require.Equal(t, c.want, task.Ceil(c.in), "%s", c.in)
	}
}

// Never early, at most a microsecond late, a whole number of them, and stable.
func TestCeilRoundsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		in := time.Unix(rapid.Int64Range(task.MinTime.Unix(), task.MaxTime.Unix()).Draw(rt, "seconds"),
			rapid.Int64Range(0, 999_999_999).Draw(rt, "nanoseconds")).UTC()
		out := task.Ceil(in)
		require.False(t, out.Before(in))
		require.Less(t, out.Sub(in), time.Microsecond)
		require.Zero(t, out.Nanosecond()%1000)
		require.Equal(t, out, task.Ceil(out))
		require.Equal(t, in.Location(), out.Location())
	})
}

func TestLateness(t *testing.T) {
	t.Parallel()
	due := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		started time.Time
		want    time.Duration
		ok      bool
	}{
		"not started":  {time.Time{}, 0, false},
		"on time":      {due, 0, true},
		"late":         {due.Add(time.Millisecond), time.Millisecond, true},
		"by years":     {due.AddDate(1, 0, 0), 365 * 24 * time.Hour, true},
		"in disregard": {due.Add(-time.Microsecond), -time.Microsecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A retry moves DueAt, and lateness is still what the user waited.
			one := task.Task{ExecutionTime: due, DueAt: due.Add(time.Hour), StartedAt: c.started}
			late, ok := one.Lateness()
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, late)
		})
	}
}

func TestErrorsSayWhatIsTheMatter(t *testing.T) {
	t.Parallel()
	require.EqualError(t, &task.StatusError{Status: task.Done}, "task is done")
	require.EqualError(t, &task.RejectedError{Reason: "too deep"}, "value rejected by the store: too deep")
}
