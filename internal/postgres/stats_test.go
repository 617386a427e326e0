package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func TestStats(t *testing.T) {
	t.Parallel()
	f := open(t)
	empty, err := f.Stats(t.Context())
	require.NoError(t, err)
	require.Empty(t, empty.Types)
	require.Zero(t, empty.Overdue)
	require.Nil(t, empty.OldestOverdue)

	now := time.Now().UTC()
	var all []task.Draft
	for _, ahead := range []time.Duration{-time.Hour, -2 * time.Minute, 30 * time.Second, 30 * time.Minute, 30 * time.Minute, 5 * time.Hour, 48 * time.Hour} {
		d := draft()
		d.ExecutionTime = task.Ceil(now.Add(ahead))
		all = append(all, d)
	}
	f.create(t, all...)
	runs := drafts(4)
	for i := range runs {
		runs[i].Type, runs[i].MaxAttempts = "bar", 1
		runs[i].ExecutionTime = task.Ceil(now.Add(-3 * time.Hour))
	}
	ids := f.create(t, runs...)
	session := f.session(t)
	f.start(t, session, ids[:3]...)
	f.finish(t, session, ids[0], 1, "")
	f.finish(t, session, ids[1], 1, task.Panic)
	require.NoError(t, f.Delete(t.Context(), ids[3]))
	s, err := f.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]map[task.Status]int{
		"foo": {task.Submitted: 7},
		"bar": {task.Started: 1, task.Done: 1, task.Failed: 1, task.Deleted: 1},
	}, s.Types)
	require.Equal(t, 2, s.Overdue)
	require.Equal(t, all[0].ExecutionTime, *s.OldestOverdue)
	require.Equal(t, struct{ Minute, Hour, Day int }{1, 3, 4}, s.DueIn)
}

// Counts are exact up to their bound, also while some of the tasks run.
func TestStatsAreExactUpToTheirBound(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'foo', now() - n * interval '1 ms', now() - n * interval '1 ms' FROM generate_series(1, $1::int) n`, task.MaxCount+50)
	f.start(t, f.session(t), f.newest(t, 0, 50)...)
	look := func(submitted, overdue int) {
		t.Helper()
		s, err := f.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, map[task.Status]int{task.Submitted: submitted, task.Started: 50}, s.Types["foo"])
		require.Equal(t, overdue, s.Overdue)
	}
	look(task.MaxCount, task.MaxCount)
	f.tasks(t, 1, 1)
	look(task.MaxCount+1, task.MaxCount+1)
	f.tasks(t, 1, 1)
	look(task.MaxCount+1, task.MaxCount+1)
	f.exec(t, `UPDATE tasks SET status = 'done', finished_at = now() WHERE status = 'submitted'`)
	s, err := f.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[task.Status]int{task.Started: 50, task.Done: task.MaxCount + 1}, s.Types["foo"])
	f.exec(t, `DELETE FROM tasks_ended WHERE id IN (SELECT id FROM tasks_ended LIMIT 2)`)
	s, err = f.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, task.MaxCount, s.Types["foo"][task.Done])
}
