package postgres_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timewheel/timewheel/internal/task"
)

// world is the plain reference that lists are compared with.
type world struct {
	f       *fixture
	t       *testing.T
	session uuid.UUID
	tasks   map[task.ID]*task.Task
}

func newWorld(t *testing.T, f *fixture) *world {
	t.Helper()
	f.exec(t, `DELETE FROM tasks`)
	f.exec(t, `DELETE FROM task_labels`)
	f.exec(t, `DELETE FROM workers`) // and the receipts
	return &world{f: f, t: t, session: f.session(t), tasks: map[task.ID]*task.Task{}}
}

// types holds one that sorts before and one that sorts after the usual ones,
// and none that any handler knows.
var types = []string{"a-a", "bar", "foo", "foo2", "zz"}

func (w *world) create(rt *rapid.T) {
	batch := drafts(rapid.IntRange(1, 8).Draw(rt, "n"))
	for i := range batch {
		batch[i].Type, batch[i].MaxAttempts = rapid.SampledFrom(types).Draw(rt, "type"), 2
		batch[i].Labels = task.LabelsOf(rapid.SliceOfNDistinct(rapid.SampledFrom(labels), 0, 3, key).Draw(rt, "labels"))
		batch[i].ExecutionTime = batch[i].ExecutionTime.Add(-rapid.SampledFrom(minutes).Draw(rt, "due"))
		w.tasks[batch[i].ID] = &task.Task{ID: batch[i].ID, Type: batch[i].Type, Labels: batch[i].Labels}
	}
	for _, id := range w.f.create(w.t, batch...) {
		w.refresh(id)
	}
}

// labels are those that tasks have, and key is that of one.
var labels = []string{"a:1", "a:2", "b:1", "c:1"}

func key(label string) string { return label[:1] }

var minutes = []time.Duration{0, time.Minute, 2 * time.Minute}

// refresh takes over what changes in a task.
func (w *world) refresh(id task.ID) {
	stored, one := w.f.get(w.t, id), w.tasks[id]
	require.Equal(w.t, one.Labels, stored.Labels)
	one.Status, one.DueAt, one.CreatedAt = stored.Status, stored.DueAt, stored.CreatedAt
}

// relabel changes the labels of what waits.
func (w *world) relabel(rt *rapid.T) {
	for _, id := range w.some(rt, task.Submitted) {
		to := task.LabelsOf(rapid.SliceOfNDistinct(rapid.SampledFrom(labels), 0, 3, key).Draw(rt, "labels"))
		_, _, err := w.f.Change(w.t.Context(), w.f.get(w.t, id), task.Change{Labels: to, SetLabels: true})
		require.NoError(w.t, err)
		w.tasks[id].Labels = to
	}
}

func (w *world) start(rt *rapid.T) {
	ids := w.some(rt, task.Submitted)
	w.f.exec(w.t, `UPDATE tasks SET due_at = execution_time WHERE id = ANY($1)`, ids)
	for _, started := range w.f.start(w.t, w.session, ids...) {
		w.tasks[started.ID].Attempt = started.Attempt
		w.refresh(started.ID)
	}
}

func (w *world) finish(rt *rapid.T) {
	for _, id := range w.some(rt, task.Started) {
		code := rapid.SampledFrom([]task.Code{"", task.HandlerError}).Draw(rt, "code")
		status := w.f.finish(w.t, w.session, id, w.tasks[id].Attempt, code).Status
		w.refresh(id)
		require.Equal(w.t, status, w.tasks[id].Status)
	}
}

func (w *world) remove(rt *rapid.T) {
	for _, id := range w.some(rt, task.Submitted) {
		require.NoError(w.t, w.f.Delete(w.t.Context(), id))
		w.tasks[id].Status = task.Deleted
	}
}

func (w *world) change(rt *rapid.T) {
	rapid.SampledFrom([]func(*rapid.T){w.create, w.start, w.start, w.finish, w.remove, w.relabel}).Draw(rt, "change")(rt)
}

// some picks a few tasks of a status.
func (w *world) some(rt *rapid.T, status task.Status) []task.ID {
	all := w.matching(task.Filter{Status: status})
	if len(all) == 0 {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, min(3, len(all)), rapid.ID).Draw(rt, "some")
}

// matching is what a filter selects, newest first and without a limit.
func (w *world) matching(filter task.Filter) (ids []task.ID) {
	for _, one := range w.tasks {
		if (filter.Status == "" || one.Status == filter.Status) && (filter.Type == "" || one.Type == filter.Type) &&
			holds(filter.Labels, one.Labels) && within(one.DueAt, filter.Due) && within(one.CreatedAt, filter.Created) &&
			(filter.After == task.Place{} || w.compare(filter, filter.After, task.Place{DueAt: one.DueAt, ID: one.ID}) < 0) {
			ids = append(ids, one.ID)
		}
	}
	slices.SortFunc(ids, func(a, b task.ID) int {
		return w.compare(filter, task.Place{DueAt: w.tasks[a].DueAt, ID: a}, task.Place{DueAt: w.tasks[b].DueAt, ID: b})
	})
	return ids
}

func (*world) compare(filter task.Filter, a, b task.Place) int {
	if filter.Order != task.SoonestDue {
		return bytes.Compare(b.ID[:], a.ID[:])
	}
	return cmp.Or(a.DueAt.Compare(b.DueAt), bytes.Compare(a.ID[:], b.ID[:]))
}

func holds(wanted, labels task.Labels) bool {
	return !slices.ContainsFunc(wanted, func(label string) bool { return !slices.Contains(labels, label) })
}

func within(at time.Time, w task.Window) bool {
	return (w.Start == nil || !at.Before(*w.Start)) && (w.End == nil || at.Before(*w.End))
}

// filter is one of all that there are. Bounds of its windows are times that tasks have.
func (w *world) filter(rt *rapid.T) (f task.Filter) {
	f = rapid.SampledFrom(filters()).Draw(rt, "filter")
	if rapid.Bool().Draw(rt, "labelled") {
		f.Labels = task.LabelsOf(rapid.SliceOfN(rapid.SampledFrom(append(labels, "nobody:", "a:")), 1, 3).Draw(rt, "by labels"))
	}
	var times []time.Time
	for _, id := range w.matching(task.Filter{}) {
		times = append(times, w.tasks[id].DueAt, w.tasks[id].CreatedAt)
	}
	bound := func(name string) *time.Time {
		if len(times) == 0 || rapid.IntRange(0, 3).Draw(rt, name) > 0 {
			return nil
		}
		at := rapid.SampledFrom(times).Draw(rt, name+" at")
		return &at
	}
	f.Due = task.Window{Start: bound("due after"), End: bound("due before")}
	f.Created = task.Window{Start: bound("created after"), End: bound("created before")}
	if (f.Status == task.Submitted || f.Status == task.Started) && rapid.Bool().Draw(rt, "by due time") {
		f.Order = task.SoonestDue
	}
	return f
}

// list is one page, which has to be as the reference has it.
func (w *world) list(filter task.Filter) (ids []task.ID, next *task.Place) {
	got, err := w.f.List(w.t.Context(), filter)
	page := got.Tasks
	require.NoError(w.t, err)
	want := w.matching(filter)
	require.Equal(w.t, len(want) > filter.Limit, got.Next != nil, "%+v", filter)
	for _, one := range page {
		ids = append(ids, one.ID)
		require.Equal(w.t, w.tasks[one.ID].Type, one.Type)
		require.Equal(w.t, w.tasks[one.ID].Status, one.Status)
	}
	require.Equal(w.t, want[:min(filter.Limit, len(want))], append([]task.ID(nil), ids...), "%+v", filter)
	return ids, got.Next
}

// filters are all combinations, with a type and a status that nothing has.
func filters() (all []task.Filter) {
	for _, status := range append(task.Statuses(), "", "unheard of") {
		for _, kind := range append([]string{"", "nobody"}, types...) {
			all = append(all, task.Filter{Status: status, Type: kind})
		}
	}
	return all
}

func TestListMatchesThePlainReference(t *testing.T) {
	t.Parallel()
	f := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, f)
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			w.change(rt)
		}
		limit := rapid.IntRange(1, 9).Draw(rt, "limit")
		// A few of the combinations each time, all of them many times over.
		for range 10 {
			filter := w.filter(rt)
			want := w.matching(filter)
			filter.Limit = limit
			var got []task.ID
			for next := new(task.Place); next != nil; {
				var page []task.ID
				page, next = w.list(filter)
				if got = append(got, page...); next != nil {
					filter.After = *next
				}
			}
			require.Equal(t, want, got, "%+v", filter)
		}
	})
}

// Between two pages tasks change their status and new ones arrive. No task is
// repeated, none that matched all the while is missing, and each page is right
// at its own moment.
func TestListPagesHoldWhileTasksChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, f)
		for range 6 {
			w.change(rt)
		}
		filter := rapid.SampledFrom(filters()).Draw(rt, "filter")
		filter.Limit = rapid.IntRange(1, 4).Draw(rt, "limit")
		steady := w.matching(filter)
		var got []task.ID
		for {
			page, next := w.list(filter)
			got = append(got, page...)
			if next == nil {
				break
			}
			filter.After = *next
			w.change(rt)
			now := w.matching(task.Filter{Status: filter.Status, Type: filter.Type})
			steady = slices.DeleteFunc(steady, func(id task.ID) bool {
				return !slices.Contains(got, id) && !slices.Contains(now, id)
			})
		}
		require.True(t, slices.IsSortedFunc(got, func(a, b task.ID) int { return bytes.Compare(b[:], a[:]) }))
		require.Len(t, slices.Compact(slices.Clone(got)), len(got), "repeated")
		require.Subset(t, got, steady)
	})
}

// What runs is found by the receipts. One that is not closed yet may name a
// task that has ended, or that another session runs by now.
func TestListOfWhatRunsReadsStaleReceipts(t *testing.T) {
	t.Parallel()
	f := open(t)
	one, other := f.session(t), f.session(t)
	ids := f.tasks(t, 3, 2)
	f.start(t, one, ids...)
	f.finish(t, one, ids[0], 1, "")
	f.finish(t, one, ids[1], 1, task.Panic)
	f.exec(t, `UPDATE tasks SET due_at = execution_time WHERE id = $1`, ids[1])
	f.start(t, other, ids[1])
	got, err := f.List(t.Context(), task.Filter{Status: task.Started, Limit: 10})
	page := got.Tasks
	require.NoError(t, err)
	require.Equal(t, []task.ID{ids[2], ids[1]}, idsOf(page))
	require.Equal(t, []uuid.UUID{one, other}, []uuid.UUID{page[0].WorkerID, page[1].WorkerID})
}

// A page that grows too large is cut short, and nothing is lost between it and
// the next.
func TestListCutsALargePageShort(t *testing.T) {
	t.Parallel()
	f := open(t)
	batch := drafts(40)
	for i := range batch {
		batch[i].Payload = json.RawMessage(`"` + strings.Repeat("x", 250_000) + `"`)
	}
	ids := f.create(t, batch...)
	filter := task.Filter{Limit: len(ids)}
	var got []task.ID
	pages := 0
	for more := true; more; pages++ {
		listed, err := f.List(t.Context(), filter)
		page := listed.Tasks
		more = listed.Next != nil
		require.NoError(t, err)
		require.NotEmpty(t, page)
		got = append(got, idsOf(page)...)
		filter.After.ID = got[len(got)-1]
	}
	slices.Reverse(got)
	require.Equal(t, ids, got)
	require.Equal(t, 3, pages, "10 MB by 4 MiB")
}

func TestGetAnswersNotFound(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, second(open(t).Get(t.Context(), uuid.New())), task.ErrNotFound)
}

// A page that takes several statements has each task once, in order.
func TestListReadsALongPageInParts(t *testing.T) {
	t.Parallel()
	f := open(t)
	var ids []task.ID
	for range 3 {
		ids = append(ids, f.tasks(t, 100, 1)...)
	}
	slices.SortFunc(ids, func(a, b task.ID) int { return bytes.Compare(b[:], a[:]) })
	for limit, want := range map[int]int{50: 50, 51: 51, 52: 52, 299: 299, 300: 300, 1000: 300} {
		got, err := f.List(t.Context(), task.Filter{Limit: limit})
		page, more := got.Tasks, got.Next != nil
		require.NoError(t, err)
		require.Equal(t, want < 300, more, limit)
		require.Equal(t, ids[:want], idsOf(page), limit)
	}
}

// In the order of due times, tasks are moved while a client turns the pages. Those that nobody
// moves are there once, and in order.
func TestListByDueTimeWhileTasksMove(t *testing.T) {
	t.Parallel()
	f := open(t)
	base := task.Ceil(time.Now().UTC().Add(time.Hour))
	batch := drafts(60)
	for i := range batch {
		batch[i].ExecutionTime = base.Add(time.Duration(i/3) * time.Minute)
		batch[i].Labels = task.Labels{"kind:x"}
	}
	ids := f.create(t, batch...)
	for _, labels := range []task.Labels{nil, {"kind:x"}} {
		filter := task.Filter{Status: task.Submitted, Order: task.SoonestDue, Labels: labels, Limit: 4}
		var got []task.ID
		for turn := 0; ; turn++ {
			page, err := f.List(t.Context(), filter)
			require.NoError(t, err)
			got = append(got, idsOf(page.Tasks)...)
			if page.Next == nil {
				break
			}
			filter.After = *page.Next
			moved := ids[2+3*(turn%20)] // every third is moved to and fro
			at := base.Add(time.Duration(turn%2*40-5) * time.Minute)
			_, _, err = f.Change(t.Context(), f.get(t, moved), task.Change{ExecutionTime: &at})
			require.NoError(t, err)
		}
		var steady, want []task.ID
		for i, id := range ids {
			if i%3 != 2 {
				want = append(want, id)
			}
		}
		for _, id := range got {
			if slices.Contains(want, id) {
				steady = append(steady, id)
			}
		}
		require.Equal(t, want, steady)
	}
}

// What is due, or was created, at a bound is in the window that begins there alone.
func TestWindowsIncludeTheirStartAndNotTheirEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tasks(t, 1, 1)[0]
	one := f.get(t, id)
	later, earlier := one.CreatedAt.Add(time.Hour), one.DueAt.Add(-time.Hour)
	for _, status := range []task.Status{"", task.Submitted} {
		for _, order := range []task.Order{task.NewestFirst, task.SoonestDue} {
			for _, kind := range []string{"", "foo"} {
				for _, w := range []struct {
					due, created task.Window
					found        int
				}{
					{task.Window{Start: &one.DueAt, End: &later}, task.Window{}, 1},
					{task.Window{Start: &earlier, End: &one.DueAt}, task.Window{}, 0},
					{task.Window{}, task.Window{Start: &one.CreatedAt, End: &later}, 1},
					{task.Window{}, task.Window{Start: &earlier, End: &one.CreatedAt}, 0},
				} {
					if order == task.SoonestDue && status == "" {
						continue
					}
					page, err := f.List(t.Context(), task.Filter{Status: status, Type: kind, Order: order, Due: w.due, Created: w.created, Limit: 2})
					require.NoError(t, err)
					require.Len(t, page.Tasks, w.found)
					require.Nil(t, page.Next)
				}
			}
		}
	}
}

// A walk that finds nothing stops, says where, and goes on from there.
func TestAWalkThatFindsNothingGoesOn(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO tasks_open (id, task_type, execution_time, due_at, labels)
		SELECT (lpad(to_hex(n), 12, '0') || '70008000000000000000')::uuid, 'foo', now() + n * interval '1 s', now() + n * interval '1 s',
		       CASE WHEN n % 2 = 0 THEN '{even:,all:}' ELSE '{odd:,all:}' END::text[] || CASE WHEN n IN (1, 12002) THEN '{ends:}' END::text[]
		FROM generate_series(1, 12002) n`)
	f.exec(t, `INSERT INTO task_labels SELECT unnest(labels), id FROM tasks_open`)
	future := time.Now().Add(24 * time.Hour)
	for name, test := range map[string]struct {
		filter task.Filter
		found  int
	}{
		"two labels that take turns": {task.Filter{Labels: task.Labels{"even:", "odd:"}}, 0},
		"a label and nothing":        {task.Filter{Labels: task.Labels{"all:", "nobody:"}}, 0},
		"the first and the last":     {task.Filter{Labels: task.Labels{"all:", "ends:"}}, 2},
		"a status":                   {task.Filter{Labels: task.Labels{"all:"}, Status: task.Done}, 0},
		"a type":                     {task.Filter{Labels: task.Labels{"all:"}, Type: "bar"}, 0},
		"a window":                   {task.Filter{Created: task.Window{Start: &future}}, 0},
		"a window of due times":      {task.Filter{Due: task.Window{Start: &future}}, 0},
		"that and a type":            {task.Filter{Type: "foo", Due: task.Window{Start: &future}}, 0},
		"a type by due time":         {task.Filter{Type: "bar", Status: task.Submitted, Order: task.SoonestDue}, 0},
		"a label by due time":        {task.Filter{Labels: task.Labels{"ends:"}, Status: task.Submitted, Order: task.SoonestDue}, 2},
		"a common one":               {task.Filter{Labels: task.Labels{"all:", "odd:"}, Type: "bar", Status: task.Submitted, Order: task.SoonestDue}, 0},
	} {
		filter, found := test.filter, 0
		filter.Limit = 50
		for page := (task.Page{Next: new(task.Place)}); page.Next != nil; {
			filter.After = *page.Next
			var err error
			page, err = f.List(t.Context(), filter)
			require.NoError(t, err, name)
			found += len(page.Tasks)
		}
		require.Equal(t, test.found, found, name)
	}
}
