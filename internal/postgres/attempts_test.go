package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func (f *fixture) attempts(t *testing.T, id task.ID) []task.Attempt {
	t.Helper()
	all, err := f.Attempts(t.Context(), id)
	require.NoError(t, err)
	return all
}

// again makes a task due that waits for its next attempt.
func (f *fixture) again(t *testing.T, id task.ID) {
	t.Helper()
	f.exec(t, `UPDATE tasks_open SET due_at = execution_time WHERE id = $1`, id)
}

// Each attempt is there with what it started and ended as, whoever ended it: its worker, a
// reaper, or the worker that goes.
func TestAttempts(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, err := f.Attempts(t.Context(), uuid.New())
	require.ErrorIs(t, err, task.ErrNotFound)
	id := f.tasks(t, 1, 4)[0]
	require.Empty(t, f.attempts(t, id))
	want := []task.Attempt{}
	for n, end := range []func(session uuid.UUID){
		func(session uuid.UUID) {
			require.Equal(t, task.Submitted, f.finish(t, session, id, 1, task.HandlerError).Status)
		},
		func(session uuid.UUID) {
			f.lapse(t, session, time.Hour)
			require.Len(t, f.reap(t, f.DB).Retried, 1)
		},
		func(session uuid.UUID) {
			out, err := f.End(t.Context(), session)
			require.NoError(t, err)
			require.Len(t, out.Retried, 1)
		},
		func(session uuid.UUID) {
			require.Equal(t, task.Done, f.finish(t, session, id, 4, "").Status)
		},
	} {
		session := f.session(t)
		started := f.start(t, session, id)[0]
		running := task.Attempt{Attempt: n + 1, StartedAt: started.StartedAt, WorkerID: session}
		require.Equal(t, append(want[:n:n], running), f.attempts(t, id))
		end(session)
		all := f.attempts(t, id)
		require.Len(t, all, n+1)
		require.Equal(t, want, all[:n])
		ended := all[n]
		require.False(t, ended.EndedAt.Before(ended.StartedAt))
		running.EndedAt, running.Outcome, running.Failure = ended.EndedAt, ended.Outcome, ended.Failure
		require.Equal(t, running, ended)
		want = all
		if n < 3 {
			require.Equal(t, f.get(t, id).Failure, ended.Failure)
			f.again(t, id)
		}
	}
	require.Equal(t, &task.Failure{Code: task.HandlerError, Message: "it broke"}, want[0].Failure)
	require.Equal(t, task.WorkerLost, want[1].Failure.Code)
	require.Equal(t, task.Done, want[3].Outcome)
	require.Nil(t, want[3].Failure)
	require.Equal(t, want, f.attempts(t, id), "the history has them")
}

// A task with one attempt stores none beside its own columns, however that ends, and a task that is
// deleted keeps those that it had.
func TestTheOnlyAttemptIsTheTasksOwn(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 1), f.session(t)
	f.start(t, session, ids...)
	f.finish(t, session, ids[0], 1, "")
	f.finish(t, session, ids[1], 1, task.Timeout)
	for i, want := range []task.Status{task.Done, task.Failed, ""} {
		all := f.attempts(t, ids[i])
		require.Len(t, all, 1)
		require.Equal(t, want, all[0].Outcome)
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE earlier_attempts IS NOT NULL`))

	id := f.tasks(t, 1, 2)[0]
	f.start(t, session, id)
	f.finish(t, session, id, 1, task.HandlerError)
	before := f.attempts(t, id)
	require.NoError(t, f.Delete(t.Context(), id))
	require.Equal(t, before, f.attempts(t, id))
	require.Empty(t, f.attempts(t, f.retry(t, id, "").ID))
}

// Nothing but a start is an attempt: not a pause, a move, a run, or a claim that was refused.
func TestWhatIsNoAttempt(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 2)[0], f.session(t)
	refused := func() {
		t.Helper()
		require.Empty(t, issue(t, f.DB, session, f.seq.Add(1), []task.ID{id}))
		_, err := f.Refused(t.Context(), []task.ID{id})
		require.NoError(t, err)
	}
	for attempt := range 2 {
		f.exec(t, `UPDATE types SET paused = true WHERE name = 'foo'`)
		refused()
		f.exec(t, `UPDATE types SET paused = false WHERE name = 'foo'`)
		_, move := in(time.Hour)
		_, _, err := f.Change(t.Context(), f.get(t, id), move)
		require.NoError(t, err)
		refused()
		_, _, err = f.Change(t.Context(), f.get(t, id), task.Change{Now: true})
		require.NoError(t, err)
		require.Equal(t, attempt, f.get(t, id).Attempt)
		require.Len(t, f.attempts(t, id), attempt)
		require.Equal(t, attempt+1, f.start(t, session, id)[0].Attempt)
		f.finish(t, session, id, attempt+1, task.HandlerError)
	}
	require.Len(t, f.attempts(t, id), 2)
}

// The most that there may be: all attempts, with the longest message.
func TestAsManyAttemptsAsThereMayBe(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, task.MaxAttemptsLimit)[0], f.session(t)
	for n := 1; n <= task.MaxAttemptsLimit; n++ {
		f.start(t, session, id)
		message := fmt.Sprintf("%4096d", n)
		_, err := f.Finish(t.Context(), session, []task.Finish{
			{ID: id, Attempt: n, Failure: &task.Failure{Code: task.HandlerError, Message: message}},
		}, task.Closed{}, true)
		require.NoError(t, err)
		f.again(t, id)
	}
	all := f.attempts(t, id)
	require.Len(t, all, task.MaxAttemptsLimit)
	for i := range all {
		require.Equal(t, i+1, all[i].Attempt)
		require.Equal(t, fmt.Sprintf("%4096d", i+1), all[i].Failure.Message)
	}
}
