package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// forget walks once over the rest.
func (f *fixture) forget(t *testing.T, keep time.Duration) (total int) {
	t.Helper()
	for done := false; !done; {
		deleted, end, err := f.DeleteRest(t.Context(), keep, 1000)
		require.NoError(t, err)
		total += deleted
		done = end
	}
	return total
}

func TestDeleteRestInPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.Zero(t, f.forget(t, time.Hour))
	var kept []task.ID
	old := 0
	for _, status := range []task.Status{task.Done, task.Failed, task.Deleted} {
		for _, kind := range []string{"bar", "foo"} {
			kept = append(kept, f.ended(t, 4, kind, status, time.Hour)...)
			old += len(f.ended(t, 4, kind, status, 3*time.Hour))
		}
	}
	kept = append(kept, f.tasks(t, 5, 1)...)
	kept = append(kept, f.startedOne(t))
	total := 0
	for done := false; !done; {
		deleted, end, err := f.DeleteRest(t.Context(), 2*time.Hour, 3)
		require.NoError(t, err)
		require.LessOrEqual(t, deleted, 3)
		total += deleted
		done = end
	}
	require.Equal(t, old, total)
	require.Equal(t, len(kept), f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, kept))
	require.Equal(t, len(kept), f.count(t, `SELECT count(*) FROM tasks`))
	// The next walk begins anew, and finds what has become old meanwhile.
	f.exec(t, `UPDATE tasks_ended SET finished_at = finished_at - interval '2 h'`)
	require.Equal(t, 24, f.forget(t, 2*time.Hour))
	require.Equal(t, 6, f.count(t, `SELECT count(*) FROM tasks`))
}

// What a batch was answered with is kept for as long as its tasks may be.
func TestForgetDeletesOldBatches(t *testing.T) {
	t.Parallel()
	f := open(t)
	ahead := drafts(2)
	ahead[1].ExecutionTime = ahead[1].ExecutionTime.Add(time.Hour)
	f.batch(t, "young", drafts(2))
	f.batch(t, "old", drafts(2))
	f.batch(t, "ahead", ahead)
	f.exec(t, `UPDATE batches SET created_at = created_at - interval '3 h' WHERE key <> 'young'`)
	f.exec(t, `UPDATE batches SET last_due = last_due - interval '3 h' WHERE key = 'old'`)
	f.forget(t, 2*time.Hour)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM batches WHERE key IN ('young', 'ahead')`))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM batches`))
}

func TestForgetDeletesOldSessions(t *testing.T) {
	t.Parallel()
	f := open(t)
	live, young, old := f.session(t), f.session(t), f.session(t)
	for session, ago := range map[uuid.UUID]time.Duration{young: time.Hour, old: 3 * time.Hour} {
		f.exec(t, `UPDATE workers SET dead_at = clock_timestamp() - $2::interval WHERE id = $1`, session, ago)
	}
	f.exec(t, `UPDATE workers SET started_at = started_at - interval '1 year'`)
	f.forget(t, 2*time.Hour)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers WHERE id = ANY($1)`, []uuid.UUID{live, young}))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers`))
}
