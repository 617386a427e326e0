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

// ofKey is a task of the key k that has been due for a minute.
func ofKey() task.Draft {
	d := draft()
	d.Key = "k"
	return d
}

// free is the time at which a key was read to be free.
func (f *fixture) free(t *testing.T, key string) time.Time {
	t.Helper()
	open, asOf, err := f.OpenByKey(t.Context(), key)
	require.NoError(t, err)
	require.Nil(t, open)
	return asOf
}

func (f *fixture) createByKey(t *testing.T, d task.Draft) *task.Task {
	t.Helper()
	created, _, err := f.CreateByKey(t.Context(), d, f.free(t, d.Key))
	require.NoError(t, err)
	require.Equal(t, d.ID, created.ID)
	return created
}

func TestCreateByKeyAfterEachEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	_, err := f.GetByKey(t.Context(), "k")
	require.ErrorIs(t, err, task.ErrNotFound)
	for _, code := range []task.Code{"", task.HandlerError, task.Timeout, "delete", ""} {
		d := ofKey()
		created := f.createByKey(t, d)
		require.Equal(t, f.get(t, d.ID), created)
		found, err := f.GetByKey(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, created, found)
		if code == "delete" {
			require.NoError(t, f.Delete(t.Context(), d.ID))
		} else {
			f.start(t, session, d.ID)
			f.finish(t, session, d.ID, 1, code)
		}
		found, err = f.GetByKey(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, d.ID, found.ID, "the one that was created last")
		require.True(t, found.Status.Terminal())
	}
	require.Equal(t, 5, f.count(t, `SELECT count(*) FROM tasks WHERE idempotency_key = 'k'`))
}

// A copy of a create that arrives late, whatever became of the key meanwhile, creates nothing.
func TestALateCreateByKey(t *testing.T) {
	t.Parallel()
	f := open(t)
	first, other := ofKey(), ofKey()
	first.Labels = task.Labels{"a:b"}
	asOf := f.free(t, "k")
	_, _, err := f.CreateByKey(t.Context(), first, asOf)
	require.NoError(t, err)
	again, _, err := f.CreateByKey(t.Context(), first, asOf)
	require.NoError(t, err, "a copy finds what the first has done")
	require.Equal(t, first.ID, again.ID)
	_, _, err = f.CreateByKey(t.Context(), other, asOf)
	require.ErrorIs(t, err, task.ErrChanged)

	require.NoError(t, f.Delete(t.Context(), first.ID))
	again, _, err = f.CreateByKey(t.Context(), first, asOf)
	require.NoError(t, err)
	require.Equal(t, task.Deleted, again.Status, "it was created, and has ended")
	_, _, err = f.CreateByKey(t.Context(), other, asOf)
	require.ErrorIs(t, err, task.ErrChanged, "the key was taken and is free again")
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks_open`))

	// The one that replaced it has ended as well.
	asOf = f.free(t, "k")
	taken := f.createByKey(t, ofKey())
	replaced, _, err := f.Replace(t.Context(), taken, other)
	require.NoError(t, err)
	require.NoError(t, f.Delete(t.Context(), replaced.ID))
	_, _, err = f.CreateByKey(t.Context(), other, asOf)
	require.ErrorIs(t, err, task.ErrChanged)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks_open`))
}

// The task of a key ends while a create of it waits: what it sees then is looked at anew.
func TestACreateByKeyThatWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	f := open(t)
	asOf := f.free(t, "k")
	created := f.createByKey(t, ofKey())
	commit := f.hold(t, `DELETE FROM tasks_open WHERE id = $1`, created.ID)
	var creating errgroup.Group
	creating.Go(func() error {
		_, _, err := f.CreateByKey(t.Context(), ofKey(), asOf)
		return err
	})
	f.awaitBlocked(t, 1)
	f.exec(t, `INSERT INTO tasks_ended (id, task_type, status, execution_time, due_at, idempotency_key, finished_at)
		VALUES ($1, 'foo', 'deleted', now(), now(), 'k', clock_timestamp())`, created.ID)
	commit()
	require.ErrorIs(t, creating.Wait(), task.ErrChanged)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks_open`))
}

func TestReplace(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := ofKey()
	d.Payload, d.MaxAttempts = json.RawMessage(`{ "n": 1.50 }`), 3
	read := f.createByKey(t, d)
	to := ofKey()
	to.Labels = task.Labels{"a:b", "c:d"}
	to.Type, to.ExecutionTime, to.Payload = "web", task.Ceil(time.Now().UTC().Add(time.Hour)), json.RawMessage(`{"m":2.0 }`)
	replaced, delay, err := f.Replace(t.Context(), read, to)
	require.NoError(t, err)
	require.InDelta(t, time.Hour, delay, float64(time.Minute))
	want := *read
	want.Type, want.ExecutionTime, want.DueAt, want.Payload, want.MaxAttempts, want.Changes = "web", to.ExecutionTime, to.ExecutionTime, to.Payload, 1, 1
	want.Labels = to.Labels
	require.Equal(t, &want, replaced)
	require.Equal(t, &want, f.get(t, read.ID))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM task_labels WHERE id = $1`, read.ID))

	_, _, err = f.Replace(t.Context(), read, ofKey())
	require.ErrorIs(t, err, task.ErrChanged, "it is not as it was read")
	bare, _, err := f.Replace(t.Context(), replaced, ofKey())
	require.NoError(t, err)
	require.Nil(t, bare.Payload)
	require.Zero(t, f.count(t, `SELECT count(*) FROM task_labels`))

	gone := ofKey()
	gone.Type = "nobody"
	_, _, err = f.Replace(t.Context(), bare, gone)
	require.ErrorIs(t, err, task.ErrUnknownType)
	_, _, err = f.CreateByKey(t.Context(), task.Draft{ID: gone.ID, Type: "nobody", Key: "other", MaxAttempts: 1}, time.Now())
	require.ErrorIs(t, err, task.ErrUnknownType)

	session := f.session(t)
	f.start(t, session, read.ID)
	running := f.get(t, read.ID)
	_, _, err = f.Replace(t.Context(), running, to)
	require.ErrorIs(t, err, task.ErrChanged, "what runs is not replaced")
	require.Equal(t, running, f.get(t, read.ID))
}

// The number of attempts fences off those that were made, and never goes back.
func TestReplaceOfATaskThatWaitsForAnotherAttempt(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := ofKey()
	d.MaxAttempts = 2
	f.createByKey(t, d)
	session := f.session(t)
	f.start(t, session, d.ID)
	require.Equal(t, task.Submitted, f.finish(t, session, d.ID, 1, task.HandlerError).Status)
	replaced, _, err := f.Replace(t.Context(), f.get(t, d.ID), ofKey())
	require.NoError(t, err)
	require.Equal(t, 1, replaced.Attempt)
	require.Equal(t, 2, replaced.MaxAttempts, "one more than were made")
	f.start(t, session, d.ID)
	require.Empty(t, f.finish(t, session, d.ID, 1, "").Status, "the first attempt writes nothing")
	require.Equal(t, task.Failed, f.finish(t, session, d.ID, 2, task.HandlerError).Status)
}

func TestByKeyWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	d := ofKey()
	asOf := f.free(t, "k")
	through.loseReply("SELECT")
	created, _, err := db.CreateByKey(t.Context(), d, asOf)
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, d.ID, created.ID)
	to := ofKey()
	to.Payload = json.RawMessage(`{"a":1.0}`)
	through.loseReply("UPDATE")
	replaced, _, err := db.Replace(t.Context(), created, to)
	require.NoError(t, err)
	require.Equal(t, 2, through.losses())
	require.EqualValues(t, 1, replaced.Changes)
	require.Equal(t, to.Payload, replaced.Payload)

	// A copy arrives when it has been replaced by something else.
	_, _, err = f.Replace(t.Context(), replaced, ofKey())
	require.NoError(t, err)
	_, _, err = f.Replace(t.Context(), created, to)
	require.ErrorIs(t, err, task.ErrChanged)
	require.Nil(t, f.get(t, created.ID).Payload)
	require.NotEqual(t, uuid.Nil, created.ID)
}
