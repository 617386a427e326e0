package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// idMade is an id that was made at a time.
func idMade(at time.Time) task.ID {
	id := uuid.Must(uuid.NewV7())
	ms := at.UnixMilli()
	for i := range 6 {
		id[5-i] = byte(ms >> (8 * i))
	}
	return id
}

// ended seeds tasks of a type and status that finished so long ago.
func (f *fixture) ended(t *testing.T, n int, kind string, status task.Status, ago time.Duration) []task.ID {
	t.Helper()
	batch := drafts(n)
	for i := range batch {
		batch[i].Type, batch[i].ID = kind, idMade(time.Now().Add(-ago-time.Minute))
	}
	ids := f.create(t, batch...)
	f.exec(t, `UPDATE tasks SET status = $2, finished_at = clock_timestamp() - $3::interval WHERE id = ANY($1)`,
		ids, status, ago)
	return ids
}

func TestForgetDeletesTheOldInPages(t *testing.T) {
	t.Parallel()
	f := open(t)
	var old, kept []task.ID
	for _, status := range []task.Status{task.Done, task.Failed, task.Deleted} {
		for _, kind := range []string{"bar", "foo"} {
			kept = append(kept, f.ended(t, 3, kind, status, time.Hour)...)
			old = append(old, f.ended(t, 4, kind, status, 3*time.Hour)...)
			kept = append(kept, f.ended(t, 1, kind, status, time.Hour)...)
		}
	}
	kept = append(kept, f.tasks(t, 5, 1)...)
	running := f.tasks(t, 5, 1)
	f.start(t, f.session(t), running...)
	kept = append(kept, running...)

	total := 0
	for done := false; !done; {
		deleted, end, err := f.DeleteEnded(t.Context(), 2*time.Hour, 3)
		require.NoError(t, err)
		require.LessOrEqual(t, deleted, 3)
		total += deleted
		done = end
	}
	require.Equal(t, len(old), total)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, old))
	require.Equal(t, len(kept), f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, kept))

	// The next walk begins anew, and finds what has become old meanwhile.
	f.exec(t, `UPDATE tasks SET finished_at = finished_at - interval '2 h' WHERE outcome <> 'open'`)
	require.Equal(t, 24, f.forget(t, 30*time.Minute))
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks`))
}

// forget walks once over all that may be deleted.
func (f *fixture) forget(t *testing.T, keep time.Duration) (total int) {
	t.Helper()
	for done := false; !done; {
		deleted, end, err := f.DeleteEnded(t.Context(), keep, 1000)
		require.NoError(t, err)
		total += deleted
		done = end
	}
	return total
}

func TestForgetOfAnEmptyHistory(t *testing.T) {
	t.Parallel()
	f := open(t)
	for range 2 {
		require.Zero(t, f.forget(t, time.Hour))
	}
}

// What is too young to be deleted is not looked at, however much of it there is: an
// old task behind it is reached in the calls that it takes to get to its type.
func TestForgetPassesByWhatIsYoung(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, kind := range []string{"bar", "foo"} {
		f.exec(t, `INSERT INTO tasks (id, task_type, status, execution_time, due_at, finished_at)
			SELECT ('`+idMade(time.Now()).String()[:14]+`7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, $1, 'done', now(), now(), now()
			FROM generate_series(1, 10000) i`, kind)
	}
	old := f.ended(t, 1, "foo", task.Done, 1000*time.Hour)[0]
	calls := 0
	for done := false; !done; calls++ {
		_, end, err := f.DeleteEnded(t.Context(), 168*time.Hour, 1000)
		require.NoError(t, err)
		done = end
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE id = $1`, old))
	require.Equal(t, 20_000, f.count(t, `SELECT count(*) FROM tasks`))
	require.LessOrEqual(t, calls, 4)
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
	_, _, err := f.DeleteEnded(t.Context(), 2*time.Hour, 10)
	require.NoError(t, err)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers WHERE id = ANY($1)`, []uuid.UUID{live, young}))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers`))
}
