package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// forgetLabels walks once over the labels, in pages of three.
func (f *fixture) forgetLabels(t *testing.T, keep time.Duration) (deleted int) {
	t.Helper()
	for done := false; !done; {
		n, end, err := f.ForgetLabels(t.Context(), keep, 3)
		require.NoError(t, err)
		deleted, done = deleted+n, end
	}
	return deleted
}

// The labels of a task that waits, or is kept, stay. Others go once they are old enough.
func TestForgetLabels(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.Zero(t, f.forgetLabels(t, time.Hour))
	old := func() task.Draft {
		d := labelled("a:1", "b:1", "c:1")
		d.ID = postgres.FirstID(time.Now().Add(-3 * time.Hour))
		d.ID[15] = byte(f.seq.Add(1))
		return d
	}
	waits, ended, dropped := old(), old(), old()
	young := labelled("a:1", "b:1")
	f.create(t, waits, ended, dropped, young)
	session := f.session(t)
	f.start(t, session, ended.ID, dropped.ID)
	for _, id := range []task.ID{ended.ID, dropped.ID} {
		f.finish(t, session, id, 1, "")
	}
	require.Zero(t, f.forgetLabels(t, 2*time.Hour))
	f.exec(t, `DELETE FROM tasks WHERE id = ANY($1)`, []task.ID{dropped.ID, young.ID})
	page, err := f.List(t.Context(), task.Filter{Labels: task.Labels{"a:1"}, Limit: 10})
	require.NoError(t, err)
	require.ElementsMatch(t, []task.ID{waits.ID, ended.ID}, idsOf(page.Tasks), "what is gone is passed by")
	require.Zero(t, f.forgetLabels(t, 4*time.Hour))
	require.Equal(t, 3, f.forgetLabels(t, 2*time.Hour))
	require.Nil(t, f.noted(t, dropped.ID))
	require.Equal(t, task.Labels{"a:1", "b:1"}, f.noted(t, young.ID), "its create may be under way")
	require.Equal(t, waits.Labels, f.noted(t, waits.ID))
	require.Equal(t, ended.Labels, f.noted(t, ended.ID))
	require.Zero(t, f.forgetLabels(t, 2*time.Hour))
}
