package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// ended seeds tasks of a type and status that finished so long ago.
func (f *fixture) ended(t *testing.T, n int, kind string, status task.Status, ago time.Duration) []task.ID {
	t.Helper()
	batch := drafts(n)
	for i := range batch {
		batch[i].Type = kind
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

	// 48 ended tasks make four full pages of 10 and a short one.
	total := 0
	for page := range 5 {
		deleted, round, err := f.Forget(t.Context(), 2*time.Hour, 10)
		require.NoError(t, err)
		require.LessOrEqual(t, deleted, 10)
		require.Equal(t, page == 4, round, "page %d", page)
		total += deleted
	}
	require.Equal(t, len(old), total)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, old))
	require.Equal(t, len(kept), f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, kept))

	// The next round begins anew, and finds what has become old meanwhile.
	f.exec(t, `UPDATE tasks SET finished_at = finished_at - interval '2 h' WHERE outcome <> 'open'`)
	deleted, round, err := f.Forget(t.Context(), 2*time.Hour, 1000)
	require.NoError(t, err)
	require.True(t, round)
	require.Equal(t, 24, deleted)
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks`))
}

func TestForgetOfAnEmptyHistoryIsARound(t *testing.T) {
	t.Parallel()
	f := open(t)
	for range 2 {
		deleted, round, err := f.Forget(t.Context(), time.Hour, 1)
		require.NoError(t, err)
		require.True(t, round)
		require.Zero(t, deleted)
	}
}

// A page that is full to the brim is not the end: a task behind it is found.
func TestForgetGoesOnAfterAFullPage(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.ended(t, 2, "foo", task.Done, time.Hour)
	for _, want := range []struct {
		deleted int
		round   bool
	}{{1, false}, {1, false}, {0, true}} {
		deleted, round, err := f.Forget(t.Context(), time.Minute, 1)
		require.NoError(t, err)
		require.Equal(t, want.deleted, deleted)
		require.Equal(t, want.round, round)
	}
}

func TestForgetDeletesOldSessions(t *testing.T) {
	t.Parallel()
	f := open(t)
	live, young, old := f.session(t), f.session(t), f.session(t)
	for session, ago := range map[uuid.UUID]time.Duration{young: time.Hour, old: 3 * time.Hour} {
		f.exec(t, `UPDATE workers SET dead_at = clock_timestamp() - $2::interval WHERE id = $1`, session, ago)
	}
	f.exec(t, `UPDATE workers SET started_at = started_at - interval '1 year'`)
	_, _, err := f.Forget(t.Context(), 2*time.Hour, 10)
	require.NoError(t, err)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers WHERE id = ANY($1)`, []uuid.UUID{live, young}))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM workers`))
}
