package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// Page by page the window holds every task that still has to run, soonest
// first, and nothing else. Many are due at one instant, so that pages end
// within it.
func TestWindowPagesWhatStillHasToRun(t *testing.T) {
	t.Parallel()
	f := open(t)
	now := must(f.Now(t.Context()))(t)
	all := drafts(60)
	for i := range all {
		all[i].ExecutionTime = now.Add(time.Duration(i%5-4) * time.Hour)
	}
	all[0].ExecutionTime = task.MinTime
	ids := f.create(t, all...)
	f.start(t, f.session(t), ids[1:6]...)
	for _, id := range ids[6:11] {
		require.NoError(t, f.Delete(t.Context(), id))
	}
	var want []task.Due
	for _, draft := range all {
		open := f.get(t, draft.ID).Status == task.Submitted
		if open && !draft.ExecutionTime.After(now.Add(-time.Hour)) {
			want = append(want, task.Due{ID: draft.ID, Type: draft.Type, At: draft.ExecutionTime})
		}
	}
	slices.SortStableFunc(want, func(a, b task.Due) int { return a.At.Compare(b.At) })

	for _, limit := range []int{1, 7, len(want), 1000} {
		var got []task.Due
		var after task.Due
		for {
			page, next, more, err := f.Window(t.Context(), after, now.Add(-time.Hour), limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			got = append(got, page...)
			if after = next; !more {
				break
			}
		}
		require.Equal(t, want, got, "by pages of %d", limit)
	}
}

// However much runs, a look at a page of what is due is a page.
func TestWindowLooksAtNoMoreThanItsPage(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.tasks(t, 500, 1)
	f.start(t, f.session(t), ids...)
	waiting := f.tasks(t, 1, 1)[0]
	now := must(f.Now(t.Context()))(t)
	looks := 0
	for after, more := (task.Due{}), true; more; looks++ {
		page, next, rest, err := f.Window(t.Context(), after, now, 100)
		require.NoError(t, err)
		if after, more = next, rest; looks < 5 {
			require.Empty(t, page, "look %d", looks)
		} else {
			require.Equal(t, waiting, page[0].ID)
		}
	}
	require.Equal(t, 6, looks)
}

func TestNowIsPostgresClock(t *testing.T) {
	t.Parallel()
	f := open(t)
	var before, after time.Time
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&before))
	now := must(f.Now(t.Context()))(t)
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&after))
	require.WithinRange(t, now, before, after)
	require.Equal(t, time.UTC, now.Location())
}
