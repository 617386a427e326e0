package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	small, large = 1000, 200_000
	// What a statement may look at: pages for each row that it returns or
	// changes, and pages on its way there.
	perRow, constant = 40, 400
)

// stocked is a database whose statistics were taken when it held a thousand
// submitted tasks of one type, and that has gone another way since: nearly all
// have ended, the newest have not, and one in ten thousand is of a rare type.
func stocked(t *testing.T, rows int) (*fixture, uuid.UUID) {
	t.Helper()
	f := open(t)
	f.exec(t, `ALTER TABLE tasks_open SET (autovacuum_enabled = off)`)
	const insert = `
		INSERT INTO tasks_open (id, task_type, execution_time, due_at, labels)
		SELECT (lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
		       CASE WHEN n <= 1000 THEN 'foo' WHEN n % 10000 = 0 THEN 'rare' ELSE (ARRAY['bar', 'baz', 'foo', 'web'])[1 + n % 4] END,
		       at, at,
		       CASE WHEN n = 1 THEN '{only:one,env:prod}' WHEN n % 10 = 0 THEN ARRAY['env:prod', 'n:' || n % 7, 'id:' || n] END::text[]
		FROM generate_series($1::int, $2) n, LATERAL (SELECT now() - interval '1 day' + n * interval '1 ms') due (at)`
	const note = `INSERT INTO task_labels SELECT unnest(labels), id FROM tasks_open ON CONFLICT DO NOTHING`
	f.exec(t, insert, 1, small)
	f.exec(t, note)
	f.exec(t, `ANALYZE tasks`)
	f.exec(t, `ANALYZE task_labels`)
	f.exec(t, insert, small+1, rows)
	f.exec(t, note)
	f.exec(t, `UPDATE tasks SET finished_at = now(), attempt = 1,
		status = CASE WHEN md5(id::text) < '1' THEN 'failed' WHEN md5(id::text) < '2' THEN 'deleted' ELSE 'done' END
		WHERE id NOT IN (SELECT id FROM tasks ORDER BY id DESC LIMIT 500)`)
	session := f.session(t)
	f.start(t, session, f.newest(t, 0, 100)...)
	return f, session
}

// A table that was filled a moment ago has no statistics at all. The guess of a
// few rows must not tempt a finish to read all of them for each of its own.
func TestFinishOfATableWithoutStatistics(t *testing.T) {
	t.Parallel()
	const rows, batch = 5000, 500
	f := open(t)
	f.exec(t, `ALTER TABLE tasks_open SET (autovacuum_enabled = off)`)
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'foo', now(), now() FROM generate_series(1, $1::int)`, rows)
	session := f.session(t)
	ids := f.newest(t, 0, batch)
	f.start(t, session, ids...)
	ends := make([]task.Finish, batch)
	for i, id := range ids {
		ends[i] = task.Finish{ID: id, Attempt: 1}
	}
	db, notes := f.recorded(t)
	require.Len(t, must(db.Finish(t.Context(), session, ends, task.Closed{}, true))(t), batch)
	f.exec(t, `UPDATE tasks SET status = 'started_executing' WHERE id = ANY($1)`, ids)
	for _, mode := range planModes {
		root := explain(t, db, notes.all[0], mode)
		root.each(func(node *plan) {
			require.False(t, astray(node, true), "%s: %s\n%s", mode, node.NodeType, root)
		})
	}
}

// A start writes to no index if its row finds room on its own page. Pages are
// left so empty that all of their rows may start, although started ones are
// larger, and although a batch takes page by page.
func TestAllRowsOfAPageStartInIt(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `ALTER TABLE tasks_open SET (autovacuum_enabled = off)`)
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'foo', now(), now() FROM generate_series(1, 1000)`)
	f.exec(t, `CREATE TABLE before AS SELECT id, split_part(ctid::text, ',', 1) AS page FROM tasks_open`)
	f.start(t, f.session(t), f.newest(t, 0, 1000)...)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks_open JOIN before USING (id)
		WHERE split_part(tasks_open.ctid::text, ',', 1) <> page`))
	require.Equal(t, 1000, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'started_executing'`))
}

// newest are ids from the young end of the table.
func (f *fixture) newest(t *testing.T, skip, n int) (ids []task.ID) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT array_agg(id) FROM
		(SELECT id FROM tasks ORDER BY id DESC OFFSET $1 LIMIT $2) newest`, skip, n).Scan(&ids))
	return ids
}

// probe is one statement under test.
type probe struct {
	name string
	// call issues it, and returns how many rows it returned or changed.
	call func(t *testing.T, db *postgres.DB) int
	// byID says that tasks may be reached by their primary key alone.
	byID bool
	// looks is how many rows it may look at that do not match, or at most as many pages.
	looks int
}

func updates(f *fixture, session uuid.UUID) []probe {
	return []probe{
		{"start", func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			started, _, err := db.Start(t.Context(), session, f.seq.Add(1), everyType, f.newest(t, 200, 50))
			require.NoError(t, err)
			return len(started)
		}, true, 0},
		{"finish", func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			var ends []task.Finish
			for _, id := range f.newest(t, 0, 50) {
				ends = append(ends, task.Finish{ID: id, Attempt: 1})
			}
			answers := must(db.Finish(t.Context(), session, ends, task.Closed{Once: []int64{7}}, true))(t)
			require.Equal(t, task.Done, answers[0].Status)
			return len(answers)
		}, true, 0},
		{"cancel", func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			cancelled, err := db.Cancel(t.Context(), f.newest(t, 0, 1)[0])
			require.NoError(t, err)
			require.Equal(t, task.Started, cancelled.Status)
			return 1
		}, true, 0},
		{"what is to be cancelled", func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			cancels, err := db.Cancels(t.Context(), session)
			require.NoError(t, err)
			return max(1, len(cancels))
		}, true, 0},
	}
}

// pageProbe is a page of an operation, of tasks that are there. It can be done once more.
func (f *fixture) pageProbe(action task.Action) probe {
	return probe{"page of " + string(action), func(t *testing.T, db *postgres.DB) int {
		t.Helper()
		shift := time.Second
		o := f.ask(t, task.Operation{Action: action, Shift: &shift, Filter: task.Filter{Due: task.Window{Start: &task.MinTime}}})
		page := task.OperationPage{IDs: f.newest(t, 250, 50), Next: uuid.Nil}
		if action == task.ActionRetry {
			page.IDs = f.newest(t, 600, 50)
		}
		acted, err := db.Operate(t.Context(), &o, page)
		require.NoError(t, err)
		require.True(t, acted.Moved)
		f.exec(t, `UPDATE operations SET before = $2 WHERE id = $1`, o.ID, o.Before)
		f.exec(t, `WITH gone AS (DELETE FROM tasks WHERE retry_of IS NOT NULL RETURNING id) DELETE FROM task_labels USING gone WHERE task_labels.id = gone.id`)
		return 50
	}, false, 0}
}

func reads(t *testing.T, f *fixture) []probe {
	t.Helper()
	all := []probe{{"window", func(t *testing.T, db *postgres.DB) int {
		t.Helper()
		page, _, _, err := db.Window(t.Context(), task.Due{}, time.Now().Add(time.Hour), 50)
		require.NoError(t, err)
		return len(page)
	}, false, 0}}
	all = append(all, probe{"forget", func(t *testing.T, db *postgres.DB) int {
		t.Helper()
		_, round, err := db.DeleteRest(t.Context(), 24*time.Hour, 20)
		require.NoError(t, err)
		require.False(t, round)
		return 20
	}, false, 0})
	never, from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(-24*time.Hour)
	middle := f.newest(t, small/2, 1)[0]
	for _, filter := range []task.Filter{
		{},
		{Status: task.Submitted},
		{Status: task.Started},
		{Status: task.Done},
		{Status: task.Failed},
		{Status: task.Deleted},
		{Type: "foo"},
		{Type: "web"},
		{Type: "rare"},
		{Type: "nobody"},
		{Status: task.Submitted, Type: "foo"},
		{Status: task.Started, Type: "foo"},
		{Status: task.Done, Type: "web"},
		{Status: task.Failed, Type: "bar"},
		{Status: task.Done, Type: "rare"},
		{After: task.Place{ID: middle}},
		{Status: task.Done, After: task.Place{ID: middle}},
		{Status: task.Failed, Type: "foo", After: task.Place{ID: middle}},
		{Labels: task.Labels{"only:one"}},
		{Labels: task.Labels{"only:one"}, Status: task.Submitted},
		{Labels: task.Labels{"only:one"}, Status: task.Submitted, Order: task.SoonestDue},
		{Labels: task.Labels{"only:one"}, Status: task.Done, Type: "foo"},
		{Labels: task.Labels{"no:body"}},
		{Labels: task.Labels{"env:prod"}},
		{Labels: task.Labels{"env:prod"}, Type: "web"},
		{Labels: task.Labels{"env:prod"}, Status: task.Done},
		{Labels: task.Labels{"env:prod"}, Status: task.Submitted},
		{Labels: task.Labels{"env:prod"}, Status: task.Started},
		{Labels: task.Labels{"env:prod"}, Status: task.Submitted, Order: task.SoonestDue},
		{Labels: task.Labels{"env:prod", "only:one"}},
		{Labels: task.Labels{"env:prod", "n:3"}},
		{Labels: task.Labels{"env:prod", "n:3"}, After: task.Place{ID: middle}},
		{Labels: task.Labels{"env:prod", "no:body"}},
		{Status: task.Submitted, Order: task.SoonestDue},
		{Status: task.Started, Order: task.SoonestDue},
		{Status: task.Submitted, Order: task.SoonestDue, Due: task.Window{Start: &from}},
		{Due: task.Window{End: &never}},
		{Status: task.Submitted, Due: task.Window{End: &never}},
		{Status: task.Started, Due: task.Window{Start: &never}},
		{Type: "foo", Due: task.Window{Start: &never}},
		{Type: "foo", Status: task.Done, Due: task.Window{End: &never}},
		{Type: "rare", Status: task.Failed, Due: task.Window{End: &never}},
		{Status: task.Deleted, Created: task.Window{Start: &never}},
		{Created: task.Window{Start: &never}},
		{Created: task.Window{End: &from}},
		{Created: task.Window{End: &from}, Type: "foo", After: task.Place{ID: middle}},
	} {
		filter.Limit = 20
		name := fmt.Sprintf("list %q %q %q %q due=%t created=%t paged=%t", filter.Status, filter.Type, filter.Labels, filter.Order,
			filter.Due != task.Window{}, filter.Created != task.Window{}, filter.After.ID != uuid.Nil)
		looks := 0
		if filter.Due != (task.Window{}) || filter.Created != (task.Window{}) || len(filter.Labels) > 0 || filter.Order == task.SoonestDue {
			looks = 6000
		}
		all = append(all, probe{name, func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			page, err := db.List(t.Context(), filter)
			require.NoError(t, err)
			return len(page.Tasks)
		}, false, looks})
	}
	for _, action := range []task.Action{task.ActionReschedule, task.ActionRun, task.ActionRetry, task.ActionCancel} {
		all = append(all, f.pageProbe(action))
	}
	for _, o := range []task.Operation{
		{Action: task.ActionDelete},
		{Action: task.ActionRun, Filter: task.Filter{Type: "foo"}},
		{Action: task.ActionRetry},
		{Action: task.ActionRetry, Filter: task.Filter{Type: "web"}},
		{Action: task.ActionCancel, Filter: task.Filter{Status: task.Started}},
		{Action: task.ActionRun, Filter: task.Filter{Labels: task.Labels{"env:prod"}}},
		{Action: task.ActionRetry, Filter: task.Filter{Labels: task.Labels{"env:prod", "n:3"}}},
	} {
		all = append(all, probe{fmt.Sprintf("what to %s %q %q %q", o.Action, o.Filter.Status, o.Filter.Type, o.Filter.Labels), func(t *testing.T, db *postgres.DB) int {
			t.Helper()
			asked := f.ask(t, o)
			found, err := db.Candidates(t.Context(), &asked)
			require.NoError(t, err)
			return len(found.IDs)
		}, false, 32_000}) // a step of a walk by several labels looks at some pages
	}
	return all
}

// astray reports a step that statistics can make cost more than it should. byID
// says that tasks may be reached by their primary key alone.
func astray(node *plan, byID bool) bool {
	switch node.NodeType {
	case "Bitmap Heap Scan", "Hash Join", "Merge Join", "Materialize", "Gather", "Gather Merge":
		return true
	}
	if !strings.HasPrefix(node.Relation, "tasks") {
		return false
	}
	return node.NodeType == "Seq Scan" || byID && node.Index != "" && (node.Index != "tasks_pkey" || node.Cond == "")
}

// cost issues a statement, explains what was sent as often as there are ways
// to plan it, and returns the pages that it looked at.
func (p *probe) cost(t *testing.T, f *fixture) map[string]int {
	t.Helper()
	db, notes := f.recorded(t)
	rows := p.call(t, db)
	statements := slices.Clone(notes.all) // to explain them is noted as well
	require.NotEmpty(t, statements)
	if p.byID { // What was committed is to be done once more.
		f.exec(t, `UPDATE tasks SET status = 'submitted', attempt = 0 WHERE id = ANY($1)`, f.newest(t, 200, 50))
		f.exec(t, `UPDATE tasks SET status = 'started_executing' WHERE id = ANY($1)`, f.newest(t, 0, 50))
		f.exec(t, `DELETE FROM starts WHERE seq = $1`, f.seq.Load())
	}
	costs := map[string]int{}
	for _, mode := range planModes {
		for _, statement := range statements {
			root := explain(t, db, statement, mode)
			require.LessOrEqual(t, root.buffers(), constant+perRow*rows+p.looks, "%s, %s\n%s", p.name, mode, root)
			root.each(func(node *plan) {
				require.False(t, astray(node, p.byID), "%s, %s: %s\n%s", p.name, mode, node.NodeType, root)
			})
			costs[mode] += root.buffers()
		}
	}
	return costs
}

// No statistics, however stale, may lead a statement away from its index, and
// a page costs what it costs, however many tasks there are.
func TestCostsDoNotGrowWithTheTable(t *testing.T) {
	t.Parallel()
	few, session := stocked(t, small)
	many, manySession := stocked(t, large)
	compare := func(a, b []probe) {
		for i := range a {
			t.Run(a[i].name, func(t *testing.T) {
				cheap, dear := a[i].cost(t, few), b[i].cost(t, many)
				t.Log("pages of", small, "tasks:", cheap, "of", large, "tasks:", dear)
				for mode := range cheap {
					require.LessOrEqual(t, dear[mode], 4*cheap[mode]+200+b[i].looks, mode)
				}
			})
		}
	}
	// The updates meet the table as the bulk change left it, dead rows and all.
	compare(updates(few, session), updates(many, manySession))
	// Lists walk index heads, which are only short if vacuum keeps up. It does
	// not touch the statistics of the columns.
	few.exec(t, `VACUUM tasks`)
	many.exec(t, `VACUUM tasks`)
	compare(reads(t, few), reads(t, many))
}
