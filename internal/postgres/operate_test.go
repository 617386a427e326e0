package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// ask stores an operation.
func (f *fixture) ask(t *testing.T, o task.Operation) task.Operation {
	t.Helper()
	o.ID = uuid.Must(uuid.NewV7())
	stored, err := f.CreateOperation(t.Context(), o)
	require.NoError(t, err)
	return stored
}

// look is what an operation picks next.
func (f *fixture) look(t *testing.T, o task.Operation) task.Candidates {
	t.Helper()
	found, err := f.Candidates(t.Context(), &o)
	require.NoError(t, err)
	return found
}

// wholeOf is all that was found, as one page.
func wholeOf(found task.Candidates) task.OperationPage {
	none := int64(0)
	return task.OperationPage{IDs: found.IDs, Next: found.Next, Last: found.End, Left: &none}
}

// operate carries an operation out to its end, and returns it and what it has come to.
func (f *fixture) operate(t *testing.T, o task.Operation) (task.Operation, task.Acted) {
	t.Helper()
	o = f.ask(t, o)
	var all task.Acted
	for o.FinishedAt == nil {
		acted, err := f.Operate(t.Context(), &o, wholeOf(f.look(t, o)))
		require.NoError(t, err)
		require.True(t, acted.Moved)
		all.Ended = append(all.Ended, acted.Ended...)
		all.Due = append(all.Due, acted.Due...)
		all.Told = append(all.Told, acted.Told...)
		o, err = f.GetOperation(t.Context(), o.ID)
		require.NoError(t, err)
	}
	require.Equal(t, task.OperationDone, o.State)
	require.Zero(t, *o.Left)
	return o, all
}

func (f *fixture) labelled(t *testing.T, n int, label string) []task.ID {
	t.Helper()
	all := drafts(n)
	for i := range all {
		all[i].Labels = task.Labels{label}
		all[i].ExecutionTime = all[i].ExecutionTime.Add(time.Hour)
	}
	return f.create(t, all...)
}

func only(label string) task.Filter { return task.Filter{Labels: task.Labels{label}} }

func TestAnOperationDeletesWhatMatches(t *testing.T) {
	t.Parallel()
	f := open(t)
	mine, others := f.labelled(t, 30, "a:1"), f.labelled(t, 3, "a:2")
	session := f.session(t)
	f.exec(t, `UPDATE tasks SET due_at = clock_timestamp() - interval '1 s' WHERE id = ANY($1)`, mine[:5])
	f.start(t, session, mine[:5]...)
	f.finish(t, session, mine[0], 1, "")

	o, acted := f.operate(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1")})
	require.EqualValues(t, 25, o.Done)
	require.EqualValues(t, 4, o.Skipped, "those that run")
	require.Len(t, o.Samples, 4)
	for _, s := range o.Samples {
		require.Contains(t, mine[1:5], s.ID)
		require.Equal(t, "started_executing", s.Reason)
	}
	require.Len(t, acted.Ended, 25)
	for _, ref := range acted.Ended {
		require.Equal(t, task.Deleted, f.get(t, ref.ID).Status)
		require.Equal(t, "foo", ref.Type)
	}
	for _, id := range others {
		require.Equal(t, task.Submitted, f.get(t, id).Status)
	}
}

// What a filter may have, and what an operation has to do with it.
func TestAnOperationPicksByAllOfItsFilter(t *testing.T) {
	t.Parallel()
	f := open(t)
	base := time.Now().UTC().Add(time.Hour).Truncate(time.Second)
	at := func(minute int) *time.Time { then := base.Add(time.Duration(minute) * time.Minute); return &then }
	var all []task.Draft
	for i := range 60 {
		d := draft()
		d.Type = []string{"foo", "bar", "baz"}[i%3]
		d.ExecutionTime = *at(i)
		if i%2 == 0 {
			d.Labels = task.Labels{"a:1", "b:2"}
		}
		all = append(all, d)
	}
	ids := f.create(t, all...)
	created := f.get(t, ids[0]).CreatedAt
	later := created.Add(time.Hour)
	for name, c := range map[string]struct {
		filter task.Filter
		picks  func(i int) bool
	}{
		"all":                    {task.Filter{}, func(int) bool { return true }},
		"type":                   {task.Filter{Type: "bar"}, func(i int) bool { return i%3 == 1 }},
		"status":                 {task.Filter{Status: task.Submitted}, func(int) bool { return true }},
		"label":                  {only("a:1"), func(i int) bool { return i%2 == 0 }},
		"labels":                 {task.Filter{Labels: task.Labels{"a:1", "b:2"}}, func(i int) bool { return i%2 == 0 }},
		"labels that contradict": {task.Filter{Labels: task.Labels{"a:1", "a:2"}}, func(int) bool { return false }},
		"labels and type":        {task.Filter{Labels: task.Labels{"a:1"}, Type: "foo"}, func(i int) bool { return i%6 == 0 }},
		"due":                    {task.Filter{Due: task.Window{Start: at(10), End: at(20)}}, func(i int) bool { return i >= 10 && i < 20 }},
		"due, label and type":    {task.Filter{Due: task.Window{Start: at(10)}, Type: "baz", Labels: task.Labels{"b:2"}}, func(i int) bool { return i >= 10 && i%6 == 2 }},
		"created before":         {task.Filter{Created: task.Window{End: &created}}, func(int) bool { return false }},
		"created after":          {task.Filter{Created: task.Window{Start: &created}}, func(int) bool { return true }},
		"created after later":    {task.Filter{Created: task.Window{Start: &later}}, func(int) bool { return false }},
	} {
		var want []task.ID
		for i, id := range ids {
			if c.picks(i) {
				want = append(want, id)
			}
		}
		slices.Reverse(want)
		for _, action := range []task.Action{task.ActionDelete, task.ActionRun, task.ActionReschedule} {
			o := task.Operation{Action: action, Filter: c.filter, DryRun: true, ExecutionTime: at(0)}
			found := f.look(t, f.ask(t, o))
			require.True(t, found.End, name)
			require.Equal(t, want, found.IDs, name)
			dry, _ := f.operate(t, o)
			require.EqualValues(t, len(want), dry.Done)
		}
	}
	require.Equal(t, 60, f.count(t, `SELECT count(*) FROM tasks_open WHERE changes IS NULL`))
}

func TestAnOperationReschedules(t *testing.T) {
	t.Parallel()
	f := open(t)
	soon := time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	bounded, far := draft(), draft()
	until := soon.Add(time.Minute)
	bounded.ExecutionTime, bounded.NotAfter = soon, &until
	far.ExecutionTime = task.MaxTime.Add(-time.Hour)
	free := draft()
	free.ExecutionTime, free.SkipAfter = soon, &until
	ids := f.create(t, bounded, far, free)

	shift := 2 * time.Hour
	o, acted := f.operate(t, task.Operation{Action: task.ActionReschedule, Shift: &shift})
	require.EqualValues(t, 1, o.Done)
	require.EqualValues(t, 2, o.Skipped)
	require.ElementsMatch(t, []task.Skip{{ID: ids[0], Reason: "not_after"}, {ID: ids[1], Reason: "out_of_range"}}, o.Samples)
	require.Len(t, acted.Due, 1)
	require.InDelta(t, (3 * time.Hour).Seconds(), acted.Due[0].In.Seconds(), 60)
	moved := f.get(t, ids[2])
	require.Equal(t, soon.Add(shift), moved.ExecutionTime)
	require.Equal(t, soon.Add(shift), moved.DueAt)
	require.EqualValues(t, 1, moved.Changes)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE skip_after IS NOT NULL`))
	require.Equal(t, soon, f.get(t, ids[0]).DueAt)

	at := soon.Add(30 * time.Second)
	o, _ = f.operate(t, task.Operation{Action: task.ActionReschedule, ExecutionTime: &at})
	require.EqualValues(t, 3, o.Done)
	for _, id := range ids {
		require.Equal(t, at, f.get(t, id).DueAt)
	}
	back := -24 * time.Hour
	o, acted = f.operate(t, task.Operation{Action: task.ActionReschedule, Shift: &back})
	require.EqualValues(t, 3, o.Done)
	require.Equal(t, at.Add(back), f.get(t, ids[0]).ExecutionTime)
	require.Negative(t, acted.Due[0].In)
}

func TestAnOperationRuns(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.labelled(t, 5, "a:1")
	f.exec(t, `UPDATE tasks SET status = 'started_executing', attempt = 1 WHERE id = $1`, ids[0])
	o, acted := f.operate(t, task.Operation{Action: task.ActionRun, Filter: only("a:1")})
	require.EqualValues(t, 4, o.Done)
	require.EqualValues(t, 1, o.Skipped)
	require.Len(t, acted.Due, 4)
	f.start(t, f.session(t), ids[1:]...)
}

// No row is another one after a dry run, and what it counts is what is done then.
func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.labelled(t, 20, "a:1"), f.session(t)
	f.exec(t, `UPDATE tasks SET due_at = clock_timestamp() - interval '1 s' WHERE id = ANY($1)`, ids[:8])
	f.start(t, session, ids[:8]...)
	for _, id := range ids[:4] {
		f.finish(t, session, id, 1, task.HandlerError)
	}
	rows := func() (all string) {
		require.NoError(t, f.sql.QueryRow(t.Context(),
			`SELECT string_agg(t.xmin || ' ' || t.xmax || ' ' || t.ctid || t::text, E'\n' ORDER BY id) FROM tasks t`).Scan(&all))
		return all
	}
	shift := time.Hour
	before := rows()
	for _, action := range task.Actions() {
		o := task.Operation{Action: action, Filter: only("a:1")}
		if action == task.ActionReschedule {
			o.Shift = &shift
		}
		o.DryRun = true
		dry, acted := f.operate(t, o)
		require.Equal(t, task.Acted{}, acted)
		require.Equal(t, before, rows(), action)
		require.Positive(t, dry.Done)
	}
	dry, _ := f.operate(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1"), DryRun: true})
	acted, _ := f.operate(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1")})
	require.Equal(t, [2]int64{dry.Done, dry.Skipped}, [2]int64{acted.Done, acted.Skipped})
	require.Equal(t, [2]int64{12, 4}, [2]int64{acted.Done, acted.Skipped})
	require.NotEqual(t, before, rows())
}

// A page is done once: by whoever moves the operation on. A copy that comes later, from another
// node or the same one, does nothing.
func TestAPageIsDoneOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.labelled(t, 50, "a:1")
	shift := time.Hour
	o := f.ask(t, task.Operation{Action: task.ActionReschedule, Shift: &shift})
	page := wholeOf(f.look(t, o))
	page.IDs, page.Last = page.IDs[:20], false
	page.Next = page.IDs[19]
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	through.loseReply("SELECT")
	acted, err := db.Operate(t.Context(), &o, page)
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.False(t, acted.Moved, "the second try finds that the first one has done it")

	done := make(chan task.Acted)
	for range 8 {
		go func() {
			acted, err := f.Operate(t.Context(), &o, page)
			if err != nil {
				acted.Moved = true
			}
			done <- acted
		}()
	}
	for range 8 {
		require.Equal(t, task.Acted{}, <-done)
	}
	now, err := f.GetOperation(t.Context(), o.ID)
	require.NoError(t, err)
	require.EqualValues(t, 20, now.Done)
	require.Equal(t, page.Next, now.Before)
	require.Equal(t, task.OperationRunning, now.State)
	require.Equal(t, 20, f.count(t, `SELECT count(*) FROM tasks_open WHERE changes = 1`))
	require.Len(t, f.look(t, now).IDs, 30)
}

// Who stops an operation waits for the page that is under way, and nothing is changed after that.
func TestNothingIsChangedAfterAStop(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.labelled(t, 20, "a:1")
	o := f.ask(t, task.Operation{Action: task.ActionDelete})
	page := wholeOf(f.look(t, o))
	page.IDs, page.Last = page.IDs[:10], false
	page.Next = page.IDs[9]
	commit := f.hold(t, `SELECT FROM tasks_open WHERE id = $1 FOR UPDATE`, page.IDs[0])
	acting, stopping := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := f.Operate(t.Context(), &o, page)
		acting <- err
	}()
	f.awaitBlocked(t, 1)
	var stopped task.Operation
	go func() {
		var err error
		stopped, err = f.StopOperation(t.Context(), o.ID)
		stopping <- err
	}()
	f.awaitBlocked(t, 2)
	commit()
	require.NoError(t, <-acting)
	require.NoError(t, <-stopping)
	require.Equal(t, task.OperationStopped, stopped.State)
	require.EqualValues(t, 10, stopped.Done)
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'deleted'`))

	o.Before = page.Next
	acted, err := f.Operate(t.Context(), &o, wholeOf(f.look(t, o)))
	require.NoError(t, err)
	require.Equal(t, task.Acted{}, acted)
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks_open WHERE id = ANY($1)`, ids))
	again, err := f.StopOperation(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, stopped, again)
	_, err = f.StopOperation(t.Context(), uuid.New())
	require.ErrorIs(t, err, task.ErrNoSuchOperation)
}

// What became of a task between the look and the page decides.
func TestWhatChangedMeanwhileIsSkipped(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.labelled(t, 5, "a:1"), f.session(t)
	until := time.Now().UTC().Add(2 * time.Hour)
	o := f.ask(t, task.Operation{Action: task.ActionDelete, Filter: task.Filter{Labels: task.Labels{"a:1"}, Due: task.Window{End: &until}}})
	page := wholeOf(f.look(t, o))
	require.Len(t, page.IDs, 5)
	f.exec(t, `UPDATE tasks SET due_at = $2 WHERE id = $1`, ids[0], until)
	f.exec(t, `UPDATE tasks SET labels = NULL WHERE id = $1`, ids[1])
	f.exec(t, `UPDATE tasks SET due_at = clock_timestamp() - interval '1 s' WHERE id = $1`, ids[2])
	f.start(t, session, ids[2])
	f.finish(t, session, ids[2], 1, "")
	f.exec(t, `DELETE FROM tasks WHERE id = $1`, ids[3])
	acted, err := f.Operate(t.Context(), &o, page)
	require.NoError(t, err)
	require.Equal(t, []task.Ref{{ID: ids[4], Type: "foo"}}, acted.Ended)
	now, err := f.GetOperation(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, [2]int64{1, 4}, [2]int64{now.Done, now.Skipped})
	require.ElementsMatch(t, []task.Skip{
		{ID: ids[0], Reason: "changed"}, {ID: ids[1], Reason: "changed"}, {ID: ids[2], Reason: "done"}, {ID: ids[3], Reason: "gone"},
	}, now.Samples)
}

// A row that somebody holds for long is passed by, and the rest is done.
func TestARowThatIsHeldDoesNotHoldUpAnOperation(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.labelled(t, 5, "a:1")
	f.hold(t, `SELECT FROM tasks_open WHERE id = $1 FOR UPDATE`, ids[2])
	o, _ := f.operate(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1")})
	require.Equal(t, [2]int64{4, 1}, [2]int64{o.Done, o.Skipped})
	require.Equal(t, []task.Skip{{ID: ids[2], Reason: "changed"}}, o.Samples)
}

// More tasks than one look takes: each once, and none that came later.
func TestAnOperationGoesThroughAllThatWasThere(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 12_345
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at, labels)
		SELECT gen_random_uuid(), CASE WHEN i % 10 = 0 THEN 'foo' ELSE 'bar' END, now() + interval '1 h', now() + interval '1 h', CASE WHEN i % 10 = 0 THEN '{a:1}'::text[] END
		FROM generate_series(1, $1) i`, n)
	f.exec(t, `INSERT INTO task_labels (label, id) SELECT 'a:1', id FROM tasks WHERE labels IS NOT NULL`)
	due := time.Now().Add(-time.Hour)
	for _, filter := range []task.Filter{{}, {Type: "foo"}, only("a:1"), {Due: task.Window{Start: &due}, Type: "bar"}} {
		seconds := time.Second
		o := f.ask(t, task.Operation{Action: task.ActionReschedule, Filter: filter, Shift: &seconds})
		late := f.labelled(t, 1, "a:1")[0]
		seen := map[task.ID]bool{}
		for found := (task.Candidates{}); !found.End; o.Before = found.Next {
			found = f.look(t, o)
			for _, id := range found.IDs {
				require.False(t, seen[id])
				seen[id] = true
			}
		}
		require.NotContains(t, seen, late)
		f.exec(t, `DELETE FROM tasks WHERE id = $1`, late)
		want := f.count(t, `SELECT count(*) FROM tasks_open t WHERE ($1 = '' OR task_type = $1) AND ($2::text[] IS NULL OR labels @> $2)`,
			filter.Type, []string(filter.Labels))
		require.Len(t, seen, want)
	}
}

func TestOperationsAreBounded(t *testing.T) {
	t.Parallel()
	f := open(t)
	keyed := f.ask(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1"), Key: "k"})
	require.Equal(t, task.OperationWaiting, keyed.State)
	again := f.ask(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1"), Key: "k"})
	require.Equal(t, keyed, again)
	other := task.Operation{ID: uuid.Must(uuid.NewV7()), Action: task.ActionDelete, Filter: only("a:2"), Key: "k"}
	_, err := f.CreateOperation(t.Context(), other)
	require.ErrorIs(t, err, task.ErrKeyReused)

	for range task.MaxOperations - 1 {
		f.ask(t, task.Operation{Action: task.ActionRun})
	}
	other.Key = ""
	_, err = f.CreateOperation(t.Context(), other)
	require.ErrorIs(t, err, task.ErrTooManyOperations)
	again = f.ask(t, task.Operation{Action: task.ActionDelete, Filter: only("a:1"), Key: "k"})
	require.Equal(t, keyed, again, "which is there already")
	_, err = f.StopOperation(t.Context(), keyed.ID)
	require.NoError(t, err)
	_, err = f.CreateOperation(t.Context(), other)
	require.NoError(t, err)

	active, err := f.ActiveOperations(t.Context())
	require.NoError(t, err)
	require.Len(t, active, task.MaxOperations)
	all, err := f.Operations(t.Context(), uuid.Max, 1000, nil)
	require.NoError(t, err)
	require.Len(t, all, task.MaxOperations+1)
	require.True(t, slices.IsSortedFunc(all, func(a, b task.Operation) int { return strings.Compare(b.ID.String(), a.ID.String()) }))
	rest, err := f.Operations(t.Context(), all[0].ID, 2, nil)
	require.NoError(t, err)
	require.Equal(t, all[1:3], rest)

	require.NoError(t, f.ForgetOperations(t.Context(), time.Hour, 1000))
	f.exec(t, `UPDATE operations SET finished_at = finished_at - interval '2 h'`)
	require.NoError(t, f.ForgetOperations(t.Context(), time.Hour, 1000))
	all, err = f.Operations(t.Context(), uuid.Max, 1000, nil)
	require.NoError(t, err)
	require.Len(t, all, task.MaxOperations, "those that have not ended stay")
}

// An operation that the server refuses to carry out says so, and does not try for ever.
func TestAnOperationThatIsRefusedFails(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.labelled(t, 1, "a:1")
	o := f.ask(t, task.Operation{Action: task.ActionRun})
	page := wholeOf(f.look(t, o))
	f.exec(t, `ALTER TABLE tasks_open ADD CONSTRAINT never CHECK (changes IS NULL)`)
	_, err := f.Operate(t.Context(), &o, page)
	require.Error(t, err)
	now, err := f.GetOperation(t.Context(), o.ID)
	require.NoError(t, err)
	require.Equal(t, task.OperationFailed, now.State)
	require.Equal(t, "the store refused a page: SQLSTATE 23514", now.Failure)
	require.NotNil(t, now.FinishedAt)
	active, err := f.ActiveOperations(t.Context())
	require.NoError(t, err)
	require.Empty(t, active)
}

// An operation of a key that is bound to types touches and shows those alone, and stops with its key.
func TestAnOperationReachesWhatItsKeyDoes(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(6)
	for i := range all {
		all[i].Type = []string{"foo", "foo2", "bar"}[i%3]
		all[i].Labels = task.Labels{"a:1"}
	}
	ids := f.create(t, all...)
	for _, filter := range []task.Filter{{}, only("a:1"), {Status: task.Submitted}} {
		o, _ := f.operate(t, task.Operation{Action: task.ActionDelete, Filter: filter, Reach: []string{"foo2", "baz"}, DryRun: true})
		require.Equal(t, [2]int64{2, 0}, [2]int64{o.Done, o.Skipped})
	}
	o := f.ask(t, task.Operation{Action: task.ActionDelete, Reach: []string{"foo2"}})
	_, err := f.Operate(t.Context(), &o, task.OperationPage{IDs: ids, Next: uuid.Nil, Last: true})
	require.NoError(t, err)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'deleted' AND task_type = 'foo2'`))
	require.Equal(t, 4, f.count(t, `SELECT count(*) FROM tasks_open`))

	whole := f.ask(t, task.Operation{Action: task.ActionRun, DryRun: true})
	typed := f.ask(t, task.Operation{Action: task.ActionRun, Filter: task.Filter{Type: "foo2"}})
	for _, prefixes := range [][]string{nil, {}, {"foo"}, {"foo2"}, {"foo2", "baz"}, {"bar"}} {
		listed, err := f.Operations(t.Context(), uuid.Max, 100, prefixes)
		require.NoError(t, err)
		seen := map[uuid.UUID]bool{}
		for i := range listed {
			seen[listed[i].ID] = true
			require.True(t, listed[i].Within(prefixes))
		}
		for _, one := range []task.Operation{o, whole, typed} {
			require.Equal(t, one.Within(prefixes), seen[one.ID], "%v", prefixes)
		}
		require.Equal(t, prefixes == nil, seen[whole.ID])
	}

	made := f.goodKey(t)
	mine := f.ask(t, task.Operation{Action: task.ActionDelete, MadeBy: made})
	f.exec(t, `UPDATE keys SET revoked_at = clock_timestamp() WHERE id = $1`, made)
	acted, err := f.Operate(t.Context(), &mine, wholeOf(f.look(t, mine)))
	require.NoError(t, err)
	require.Equal(t, task.Acted{}, acted)
	active, err := f.ActiveOperations(t.Context())
	require.NoError(t, err)
	require.NotContains(t, active, mine)
	mine, err = f.GetOperation(t.Context(), mine.ID)
	require.NoError(t, err)
	require.Equal(t, task.OperationStopped, mine.State)
	require.Equal(t, "the key that asked for it was revoked or has expired", mine.Failure)
	require.Equal(t, 4, f.count(t, `SELECT count(*) FROM tasks_open`))
}

// goodKey is a key that is good.
func (f *fixture) goodKey(t *testing.T) (id uuid.UUID) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), `INSERT INTO keys (id, name, digest, hint, scopes, types)
		VALUES (gen_random_uuid(), 'ci', sha256(random()::text::bytea), 'tw_', '{change}', '{}') RETURNING id`).Scan(&id))
	return id
}
