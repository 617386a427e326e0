package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// labelled is a draft with labels.
func labelled(labels ...string) task.Draft {
	d := draft()
	d.Labels = task.LabelsOf(labels)
	return d
}

// noted are the labels that a task is found by.
func (f *fixture) noted(t *testing.T, id task.ID) (labels task.Labels) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT array_agg(label ORDER BY label) FROM task_labels WHERE id = $1`, id).
		Scan((*[]string)(&labels)))
	return labels
}

func TestLabelsOfATaskThroughItsLife(t *testing.T) {
	t.Parallel()
	f := open(t)
	odd := task.Labels{`a:`, `b:{"x\y",'z'}, NULL`, "c:é\n\t\"", "d:http://a:80/x"}
	d := labelled(odd...)
	ids := f.create(t, d, draft(), labelled("only:one"))
	require.Equal(t, odd, f.get(t, ids[0]).Labels)
	require.Equal(t, odd, f.noted(t, ids[0]))
	require.Nil(t, f.get(t, ids[1]).Labels)
	require.Nil(t, f.noted(t, ids[1]))
	require.Equal(t, 5, f.count(t, `SELECT count(*) FROM task_labels`))
	session := f.session(t)
	for _, started := range f.start(t, session, ids...) {
		require.Equal(t, f.get(t, started.ID).Labels, started.Labels)
	}
	f.finish(t, session, ids[0], 1, "")
	require.Equal(t, odd, f.get(t, ids[0]).Labels)
	require.Equal(t, odd, f.noted(t, ids[0]))
	gone := f.create(t, labelled("k:v"))[0]
	require.NoError(t, f.Delete(t.Context(), gone))
	require.Equal(t, task.Labels{"k:v"}, f.get(t, gone).Labels)
}

func TestChangeOfLabels(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.create(t, labelled("a:1", "b:1", "c:1"))[0]
	change := func(to ...string) {
		t.Helper()
		labels := task.LabelsOf(to)
		changed, _, err := f.Change(t.Context(), f.get(t, id), task.Change{Labels: labels, SetLabels: true})
		require.NoError(t, err)
		require.Equal(t, labels, changed.Labels)
		require.Equal(t, changed, f.get(t, id))
		require.Equal(t, labels, f.noted(t, id))
	}
	change("a:1", "b:2", "d:1")
	old := f.get(t, id)
	change()
	change("a:2")
	// A change of something else leaves them, and one that comes late changes none.
	_, move := in(time.Hour)
	moved, _, err := f.Change(t.Context(), f.get(t, id), move)
	require.NoError(t, err)
	require.Equal(t, task.Labels{"a:2"}, moved.Labels)
	_, _, err = f.Change(t.Context(), old, task.Change{Labels: task.Labels{"x:1"}, SetLabels: true})
	require.ErrorIs(t, err, task.ErrChanged)
	require.Equal(t, task.Labels{"a:2"}, f.noted(t, id))
}

func TestChangeOfLabelsWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	read := f.get(t, f.create(t, labelled("a:1"))[0])
	through.loseReply("SELECT")
	changed, _, err := db.Change(t.Context(), read, task.Change{Labels: task.Labels{"a:2"}, SetLabels: true})
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, task.Labels{"a:2"}, changed.Labels)
	require.EqualValues(t, 1, changed.Changes)
	require.Equal(t, task.Labels{"a:2"}, f.noted(t, read.ID))
}

// The same key with other labels names another task.
func TestLabelsOfARepeatedCreate(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, labels := range []task.Labels{nil, {"a:1"}, {"a:1", "b:,\""}} {
		d := draft()
		d.Labels, d.Key = labels, "key "+strings.Join(labels, " ")
		id := f.create(t, d)[0]
		for _, other := range []task.Labels{nil, {"a:1"}, {"a:1", "b:,\""}, {"a:2"}} {
			again := d
			again.ID, again.Labels = draft().ID, other
			answer := f.Create(t.Context(), []task.Draft{again})[0]
			if strings.Join(labels, "|") == strings.Join(other, "|") {
				require.NoError(t, answer.Err)
				require.Equal(t, id, answer.ID)
			} else {
				require.ErrorIs(t, answer.Err, task.ErrKeyReused)
			}
			bulk := "bulk" + d.Key
			_, err := f.CreateBulk(t.Context(), bulk, []task.Draft{draftLike(d), draftLike(d)})
			require.NoError(t, err)
			changed := draftLike(d)
			changed.Labels = other
			_, err = f.CreateBulk(t.Context(), bulk, []task.Draft{draftLike(d), changed})
			if strings.Join(labels, "|") == strings.Join(other, "|") {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, task.ErrKeyReused)
			}
		}
		require.Equal(t, labels, f.noted(t, id))
	}
	// A copy of the create itself finds what it made.
	d := labelled("a:1")
	id := f.create(t, d)[0]
	answer := f.CreateAgain(t.Context(), []task.Draft{d})[0]
	require.NoError(t, answer.Err)
	require.Equal(t, id, answer.ID)
	require.Equal(t, task.Labels{"a:1"}, f.noted(t, id))
	// So does one that comes when the task has ended.
	session := f.session(t)
	f.start(t, session, id)
	f.finish(t, session, id, 1, "")
	for _, send := range []func(context.Context, []task.Draft) []task.Created{f.Create, f.CreateAgain} {
		answer := send(t.Context(), []task.Draft{d, labelled("b:1")})
		require.NoError(t, answer[0].Err)
		require.Equal(t, id, answer[0].ID)
		require.NoError(t, answer[1].Err)
		require.Equal(t, task.Labels{"b:1"}, f.noted(t, answer[1].ID))
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks_open WHERE id = $1`, id))
}

// draftLike is the same draft with an id of its own.
func draftLike(d task.Draft) task.Draft {
	d.ID = draft().ID
	return d
}

// Whichever statement creates a task, the task is found by its labels.
func TestEveryWayToCreateNotesTheLabels(t *testing.T) {
	t.Parallel()
	f := open(t)
	n := 0
	for _, taskType := range []string{"foo", "web"} { // web is declared, and so held
		for _, key := range []string{"", "key"} {
			batch := []task.Draft{labelled("a:1", "b:1"), draft(), labelled("a:2")}
			for i := range batch {
				batch[i].Type = taskType
				if batch[i].Key = key; key != "" {
					batch[i].Key = batch[i].ID.String()
				}
			}
			again := make([]task.Draft, len(batch))
			bulk := make([]task.Draft, len(batch))
			for i := range batch {
				again[i], bulk[i] = draftLike(batch[i]), draftLike(batch[i])
				bulk[i].Key = ""
				if again[i].Key != "" {
					again[i].Key = again[i].ID.String()
				}
			}
			made := append(f.create(t, batch...), f.idsOf(t, f.CreateAgain(t.Context(), again))...)
			created, err := f.CreateBulk(t.Context(), key+taskType, bulk)
			require.NoError(t, err)
			made = append(made, f.idsOf(t, created)...)
			for i, id := range made {
				require.Equal(t, batch[i%len(batch)].Labels, f.noted(t, id))
			}
			n += len(made)
		}
	}
	require.Equal(t, n, f.count(t, `SELECT count(*) FROM tasks`))
	require.Equal(t, n, f.count(t, `SELECT count(*) FROM task_labels`), "three of each three tasks")
}

func (*fixture) idsOf(t *testing.T, created []task.Created) (ids []task.ID) {
	t.Helper()
	for _, answer := range created {
		require.NoError(t, answer.Err)
		ids = append(ids, answer.ID)
	}
	return ids
}
