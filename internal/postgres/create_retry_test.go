package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

// again is what a retry takes.
func again(key string) task.Draft { return task.Draft{ID: uuid.Must(uuid.NewV7()), Key: key} }

// retry repeats a task under a new id.
func (f *fixture) retry(t *testing.T, old task.ID, key string) *task.Task {
	t.Helper()
	made, delay, err := f.Retry(t.Context(), old, again(key))
	require.NoError(t, err)
	require.LessOrEqual(t, delay, time.Duration(0))
	return made
}

// row is a task as it stands in the table, text for text.
func (f *fixture) row(t *testing.T, id task.ID) (row string) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(), `SELECT t::text FROM tasks t WHERE id = $1`, id).Scan(&row))
	return row
}

func TestRetryRepeatsWhatHasFailedOrWasDeleted(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.Payload, d.MaxAttempts, d.Key = json.RawMessage(`{ "n" : 1.10 }`), 2, "mine"
	until, timeout := time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond), 90*time.Second
	d.NotAfter, d.Timeout, d.Retry = &until, &timeout, &task.Retry{Delay: time.Second, Factor: 3, MaxDelay: time.Minute, Jitter: 0.5}
	d.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" // which was the create's
	d.SkipAfter, d.Labels = &until, task.Labels{"a:b", "c:d"}
	failed, session := f.create(t, d)[0], f.session(t)
	f.start(t, session, failed)
	f.cancel(t, failed)
	require.Equal(t, task.Failed, f.finish(t, session, failed, 1, task.HandlerError).Status)
	deleted := f.tasks(t, 1, 7)[0]
	require.NoError(t, f.Delete(t.Context(), deleted))
	for _, id := range []task.ID{failed, deleted} {
		before, old := f.row(t, id), f.get(t, id)
		made := f.retry(t, id, "")
		require.Equal(t, made, f.get(t, made.ID))
		require.Equal(t, &task.Task{
			ID: made.ID, Type: old.Type, Status: task.Submitted, ExecutionTime: made.DueAt, DueAt: made.DueAt, CreatedAt: made.CreatedAt,
			Payload: old.Payload, MaxAttempts: old.MaxAttempts, RetryOf: id, NotAfter: old.NotAfter, Timeout: old.Timeout, Retry: old.Retry,
			Labels: old.Labels,
		}, made)
		require.True(t, made.DueAt.After(old.FinishedAt))
		require.NotEqual(t, made.ID, f.retry(t, id, "").ID, "without a key it is another one each time")
		f.start(t, session, made.ID)
		require.Equal(t, task.Done, f.finish(t, session, made.ID, 1, "").Status)
		require.Equal(t, before, f.row(t, id), "it stays as it ended")
	}
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM tasks WHERE idempotency_key = 'mine'`))
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM task_labels WHERE label = 'c:d'`), "a list finds each of them")
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM tasks WHERE skip_after IS NOT NULL`))
	f.exec(t, `UPDATE tasks SET not_after = clock_timestamp() WHERE id = $1`, failed)
	require.Nil(t, f.retry(t, failed, "").NotAfter, "it has passed")
	require.Zero(t, f.count(t, `SELECT count(*) FROM created_again`))
}

func TestRetryIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 1), f.session(t)
	f.start(t, session, ids[1:]...)
	f.finish(t, session, ids[2], 1, "")
	all := f.count(t, `SELECT count(*) FROM tasks`)
	for i, want := range []task.Status{task.Submitted, task.Started, task.Done} {
		_, _, err := f.Retry(t.Context(), ids[i], again(""))
		var refused *task.StatusError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Status)
	}
	_, _, err := f.Retry(t.Context(), uuid.New(), again("k"))
	require.ErrorIs(t, err, task.ErrNotFound)

	d := draft()
	d.Type = "zz"
	gone := f.create(t, d)[0]
	require.NoError(t, f.Delete(t.Context(), gone))
	f.exec(t, `DELETE FROM types WHERE name = 'zz'`)
	_, _, err = f.Retry(t.Context(), gone, again(""))
	require.ErrorIs(t, err, task.ErrUnknownType)
	require.Equal(t, all+1, f.count(t, `SELECT count(*) FROM tasks`))
}

// However often it is asked for under a key, and by however many at once, it is one new task. A key
// that names any other task is refused.
func TestRetryUnderAKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 2, 1), f.session(t)
	for _, id := range ids {
		require.NoError(t, f.Delete(t.Context(), id))
	}
	made := make([]*task.Task, 16)
	var all errgroup.Group
	for i := range made {
		all.Go(func() (err error) {
			made[i], _, err = f.Retry(t.Context(), ids[0], again("k"))
			return err
		})
	}
	require.NoError(t, all.Wait())
	for _, other := range made {
		require.Equal(t, made[0], other)
	}
	refused := func(old task.ID, want error) {
		t.Helper()
		_, _, err := f.Retry(t.Context(), old, again("k"))
		require.ErrorIs(t, err, want)
	}
	refused(ids[1], task.ErrKeyReused)
	f.start(t, session, made[0].ID)
	f.finish(t, session, made[0].ID, 1, task.HandlerError)
	require.Equal(t, f.get(t, made[0].ID), f.retry(t, ids[0], "k"), "also when it has ended")
	refused(ids[1], task.ErrKeyReused)
	refused(made[0].ID, task.ErrKeyReused)

	d := draft()
	d.Key = "taken"
	f.create(t, d)
	_, _, err := f.Retry(t.Context(), ids[0], again("taken"))
	require.ErrorIs(t, err, task.ErrKeyReused)
	require.NoError(t, f.Delete(t.Context(), f.retry(t, ids[0], "other").ID))
	_, _, err = f.Retry(t.Context(), ids[0], again("other"))
	require.ErrorIs(t, err, task.ErrDeleted)
	require.Equal(t, 2+3, f.count(t, `SELECT count(*) FROM tasks`))
}

// A copy of the statement, sent since the reply to another was lost, makes no second task,
// whatever has become of the first.
func TestRetryWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	old, session := f.tasks(t, 1, 1)[0], f.session(t)
	require.NoError(t, f.Delete(t.Context(), old))
	id := uuid.Must(uuid.NewV7())
	through.loseReply("SELECT")
	made, _, err := db.Retry(t.Context(), old, task.Draft{ID: id})
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, id, made.ID)
	late := func() {
		t.Helper()
		before := f.row(t, id)
		again, _, err := f.Retry(t.Context(), old, task.Draft{ID: id})
		require.NoError(t, err)
		require.Equal(t, id, again.ID)
		require.Equal(t, before, f.row(t, id))
		require.Equal(t, 2, f.count(t, `SELECT count(*) FROM tasks`))
	}
	late()
	f.start(t, session, id)
	late()
	f.finish(t, session, id, 1, "")
	late()
}
