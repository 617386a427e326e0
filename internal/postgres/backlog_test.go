package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// fill makes n tasks of a type, a millisecond apart from a time on.
func (f *fixture) fill(t *testing.T, taskType string, n int, from time.Duration) {
	t.Helper()
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), $1, at, at
		FROM generate_series(0, $2::int - 1) i, LATERAL (SELECT clock_timestamp() + $3::interval + i * interval '1 ms') due (at)`, taskType, n, from)
}

func (f *fixture) backlog(t *testing.T) map[string]task.TypeBacklog {
	t.Helper()
	seen, err := f.Backlog(t.Context(), time.Second)
	require.NoError(t, err)
	byType := map[string]task.TypeBacklog{}
	for _, b := range seen {
		byType[b.Type] = b
	}
	return byType
}

func TestBacklogCountsWhatWaitsByType(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `UPDATE types SET paused = true WHERE name = 'bar'`)
	f.fill(t, "foo", 3, -time.Hour)
	f.fill(t, "bar", 2, -2*time.Hour)
	f.fill(t, "foo", 1, 30*time.Second)
	f.fill(t, "foo", 4, 30*time.Minute)
	f.fill(t, "baz", 5, 20*time.Hour)
	f.fill(t, "baz", 1, 30*time.Hour)
	session := f.session(t)
	var running task.ID
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT id FROM tasks WHERE task_type = 'foo' ORDER BY due_at LIMIT 1`).Scan(&running))
	f.start(t, session, running)

	seen := f.backlog(t)
	require.Len(t, seen, f.count(t, `SELECT count(*) FROM types`), "all types that are declared")
	require.Equal(t, 2, seen["foo"].Overdue, "one runs")
	require.Equal(t, [3]int{1, 5, 5}, seen["foo"].Soon)
	require.InDelta(t, time.Hour, seen["foo"].Oldest, float64(time.Minute))
	require.Equal(t, 2, seen["bar"].Overdue)
	require.True(t, seen["bar"].Paused)
	require.False(t, seen["foo"].Paused)
	require.Zero(t, seen["baz"].Overdue)
	require.Zero(t, seen["baz"].Oldest)
	require.Equal(t, [3]int{0, 0, 5}, seen["baz"].Soon)
	require.Equal(t, task.TypeBacklog{Type: "webhook"}, seen["webhook"])
}

// A type with more than is counted hides neither what was due before its own nor what
// became due last.
func TestBacklogIsBoundedAtBothEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.fill(t, "foo", 40_000, -2*time.Hour)
	f.fill(t, "bar", 1, -3*time.Hour)
	f.fill(t, "baz", 1, -time.Minute)
	seen := f.backlog(t)
	require.Equal(t, task.MaxCount, seen["foo"].Overdue)
	require.Equal(t, 1, seen["bar"].Overdue)
	require.Equal(t, 1, seen["baz"].Overdue)

	f.exec(t, `UPDATE tasks_open SET due_at = due_at + interval '4 hours' WHERE task_type = 'foo'`)
	require.Equal(t, [3]int{0, 0, task.MaxCount}, f.backlog(t)["foo"].Soon)
}

// However much waits, each look reads its bound.
func TestBacklogLooksAtNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `ALTER TABLE tasks_open SET (autovacuum_enabled = off)`)
	f.fill(t, "foo", 1000, -time.Hour)
	f.exec(t, `ANALYZE tasks`)
	f.fill(t, "foo", 60_000, -time.Hour)
	f.fill(t, "bar", 30_000, 2*time.Hour)
	for _, mode := range planModes {
		root := explain(t, f.DB, statement{postgres.BacklogLooks, []any{time.Second, postgres.BacklogRows, time.Minute, time.Hour, 24 * time.Hour}}, mode)
		root.each(func(node *plan) {
			require.False(t, node.NodeType == "Seq Scan" && node.Relation == "tasks_open", root.String())
			if node.Relation == "tasks_open" {
				require.LessOrEqual(t, node.Rows, float64(postgres.BacklogRows), root.String())
				require.Zero(t, node.Removed, root.String())
			}
		})
	}
}
