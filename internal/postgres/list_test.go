package postgres_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

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
		w.tasks[batch[i].ID] = &task.Task{ID: batch[i].ID, Type: batch[i].Type, Status: task.Submitted}
	}
	w.f.create(w.t, batch...)
}

func (w *world) start(rt *rapid.T) {
	ids := w.some(rt, task.Submitted)
	w.f.exec(w.t, `UPDATE tasks SET due_at = execution_time WHERE id = ANY($1)`, ids)
	for _, started := range w.f.start(w.t, w.session, ids...) {
		w.tasks[started.ID].Status, w.tasks[started.ID].Attempt = task.Started, started.Attempt
	}
}

func (w *world) finish(rt *rapid.T) {
	for _, id := range w.some(rt, task.Started) {
		code := rapid.SampledFrom([]task.Code{"", task.HandlerError}).Draw(rt, "code")
		w.tasks[id].Status = w.f.finish(w.t, w.session, id, w.tasks[id].Attempt, code).Status
		require.NotEmpty(w.t, w.tasks[id].Status)
	}
}

func (w *world) remove(rt *rapid.T) {
	for _, id := range w.some(rt, task.Submitted) {
		require.NoError(w.t, w.f.Delete(w.t.Context(), id))
		w.tasks[id].Status = task.Deleted
	}
}

func (w *world) change(rt *rapid.T) {
	rapid.SampledFrom([]func(*rapid.T){w.create, w.start, w.start, w.finish, w.remove}).Draw(rt, "change")(rt)
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
			(filter.After.ID == uuid.Nil || bytes.Compare(one.ID[:], filter.After.ID[:]) < 0) {
			ids = append(ids, one.ID)
		}
	}
	slices.SortFunc(ids, func(a, b task.ID) int { return bytes.Compare(b[:], a[:]) })
	return ids
}

// list is one page, which has to be as the reference has it.
func (w *world) list(filter task.Filter) (ids []task.ID, more bool) {
	got, err := w.f.List(w.t.Context(), filter)
	page, more := got.Tasks, got.Next != nil
	require.NoError(w.t, err)
	want := w.matching(filter)
	require.Equal(w.t, len(want) > filter.Limit, more, "%+v", filter)
	for _, one := range page {
		ids = append(ids, one.ID)
		require.Equal(w.t, w.tasks[one.ID].Type, one.Type)
		require.Equal(w.t, w.tasks[one.ID].Status, one.Status)
	}
	require.Equal(w.t, want[:min(filter.Limit, len(want))], append([]task.ID(nil), ids...), "%+v", filter)
	return ids, more
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
		for _, filter := range rapid.Permutation(filters()).Draw(rt, "filters")[:10] {
			want := w.matching(filter)
			filter.Limit = limit
			var got []task.ID
			for more := true; more; {
				var page []task.ID
				page, more = w.list(filter)
				if got = append(got, page...); more {
					filter.After.ID = page[len(page)-1]
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
			page, more := w.list(filter)
			got = append(got, page...)
			if !more {
				break
			}
			filter.After.ID = page[len(page)-1]
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
