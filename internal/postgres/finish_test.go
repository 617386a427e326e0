package postgres_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

func TestFinishEndsEachAttemptAsItEnded(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 4, 1), f.session(t)
	f.start(t, session, ids...)
	failure := &task.Failure{Code: task.Timeout, Message: "too slow"}
	answers, err := f.Finish(t.Context(), session, []task.Finish{
		{ID: ids[3], Attempt: 1, Failure: failure},
		{ID: ids[0], Attempt: 1, Result: json.RawMessage(`{"body": "hi"}`)},
		{ID: ids[2], Attempt: 2},
		{ID: ids[1], Attempt: 1},
	}, task.Closed{}, true)
	require.NoError(t, err)
	require.Equal(t, []task.Status{task.Failed, task.Done, "", task.Done}, statuses(answers))

	done := f.get(t, ids[0])
	require.Equal(t, task.Done, done.Status)
	require.JSONEq(t, `{"body": "hi"}`, string(done.Result))
	require.Nil(t, done.Failure)
	require.False(t, done.FinishedAt.Before(done.StartedAt))
	require.Nil(t, f.get(t, ids[1]).Result)
	require.Equal(t, task.Started, f.get(t, ids[2]).Status)
	failed := f.get(t, ids[3])
	require.Equal(t, task.Failed, failed.Status)
	require.Equal(t, failure, failed.Failure)
	require.False(t, failed.FinishedAt.Before(failed.StartedAt))
}

func TestFinishWritesNothingWhereTheAttemptIsNotOurs(t *testing.T) {
	t.Parallel()
	f := open(t)
	type attempt struct {
		session uuid.UUID
		id      task.ID
		number  int
	}
	running := func(t *testing.T) attempt {
		t.Helper()
		mine := attempt{f.session(t), f.tasks(t, 1, 9)[0], 1}
		f.start(t, mine.session, mine.id)
		return mine
	}
	for name, late := range map[string]func(t *testing.T) attempt{
		"unknown id": func(t *testing.T) attempt {
			t.Helper()
			return attempt{f.session(t), uuid.New(), 1}
		},
		"another session": func(t *testing.T) attempt {
			t.Helper()
			a := running(t)
			return attempt{f.session(t), a.id, 1}
		},
		"a later attempt": func(t *testing.T) attempt {
			t.Helper()
			a := running(t)
			return attempt{a.session, a.id, 2}
		},
		"an earlier attempt": func(t *testing.T) attempt {
			t.Helper()
			a := running(t)
			require.Equal(t, task.Submitted, f.finish(t, a.session, a.id, 1, task.Panic).Status)
			f.exec(t, `UPDATE tasks SET due_at = execution_time WHERE id = $1`, a.id)
			f.start(t, a.session, a.id)
			return a
		},
		"deleted before its retry": func(t *testing.T) attempt {
			t.Helper()
			a := running(t)
			require.Equal(t, task.Submitted, f.finish(t, a.session, a.id, 1, task.Panic).Status)
			require.NoError(t, f.Delete(t.Context(), a.id))
			return a
		},
		"never started": func(t *testing.T) attempt {
			t.Helper()
			return attempt{f.session(t), f.tasks(t, 1, 9)[0], 0}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := late(t)
			before, _ := f.Get(t.Context(), a.id)
			for _, code := range []task.Code{"", task.HandlerError} {
				require.Equal(t, task.Finished{}, f.finish(t, a.session, a.id, a.number, code))
				after, _ := f.Get(t.Context(), a.id)
				require.Equal(t, before, after)
			}
		})
	}
}

// Whoever asks again learns what its own earlier call wrote, and writes nothing.
func TestFinishMayBeCalledAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	for code, want := range map[task.Code]task.Status{"": task.Done, task.Panic: task.Submitted} {
		id, session := f.tasks(t, 1, 2)[0], f.session(t)
		f.start(t, session, id)
		require.Equal(t, want, f.finish(t, session, id, 1, code).Status)
		before := f.get(t, id)
		for _, again := range []task.Code{"", task.HandlerError} {
			require.Equal(t, want, f.finish(t, session, id, 1, again).Status)
			require.Equal(t, before, f.get(t, id))
		}
	}
}

// An attempt that ended with something that cannot be stored has ended all the
// same, which is written once it is alone. Beside others it fails them, and nothing
// of them is written.
func TestFinishSurvivesWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	for name, end := range map[string]task.Finish{
		"NUL in a result":       {Result: json.RawMessage("{\"a\": \"\x00\"}")},
		"not JSON":              {Result: json.RawMessage(`Foo`)},
		"NUL in a message":      {Failure: &task.Failure{Code: task.Panic, Message: "a\x00b"}},
		"no UTF-8 in a message": {Failure: &task.Failure{Code: task.HandlerError, Message: "a\xff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := f.tasks(t, 21, 1)
			seq := f.seq.Add(1)
			require.Len(t, issue(t, f.DB, session, seq, ids), len(ids))
			ends := make([]task.Finish, len(ids))
			for i, id := range ids {
				ends[i] = task.Finish{ID: id, Attempt: 1, Result: json.RawMessage(strconv.Itoa(i))}
			}
			end.ID, end.Attempt = ids[7], 1
			ends[7] = end
			answers, err := f.Finish(t.Context(), session, ends, task.Closed{Once: []int64{seq}}, true)
			require.Error(t, err)
			require.Empty(t, answers)
			require.Equal(t, task.Started, f.get(t, ids[0]).Status)

			alone, err := f.Finish(t.Context(), session, ends[7:8], task.Closed{}, false)
			require.NoError(t, err)
			others := append(slices.Clone(ends[:7]), ends[8:]...)
			answers, err = f.Finish(t.Context(), session, others, task.Closed{Once: []int64{seq}}, false)
			require.NoError(t, err)
			answers = slices.Insert(answers, 7, alone[0])
			for i, id := range ids {
				stored := f.get(t, id)
				require.Equal(t, stored.Status, answers[i].Status)
				if i != 7 {
					require.Equal(t, task.Done, stored.Status)
					require.JSONEq(t, strconv.Itoa(i), string(stored.Result))
				}
			}
			stored := f.get(t, ids[7])
			require.Nil(t, stored.Result)
			if end.Failure == nil {
				require.Equal(t, task.Done, stored.Status)
			} else {
				require.Equal(t, task.Failed, stored.Status)
				require.Equal(t, end.Failure.Code, stored.Failure.Code)
				require.Contains(t, stored.Failure.Message, "could not be stored")
			}
			require.Zero(t, f.count(t, `SELECT count(*) FROM starts WHERE seq = $1`, seq))
		})
	}
}

func TestFinishRetriesAfterADoublingPauseWithJitter(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 100)[0], f.session(t)
	for attempt, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 12: 2048 * time.Second, 13: time.Hour, 99: time.Hour,
	} {
		f.exec(t, `UPDATE tasks SET due_at = execution_time, attempt = $1`, attempt-1)
		f.start(t, session, id)
		before := must(f.Now(t.Context()))(t)
		answer := f.finish(t, session, id, attempt, task.HandlerError)
		after := must(f.Now(t.Context()))(t)
		stored := f.get(t, id)
		require.Equal(t, task.Submitted, answer.Status)
		low, high := want*8/10, want*12/10
		require.LessOrEqual(t, answer.Delay, high)
		require.GreaterOrEqual(t, answer.Delay, low-patience)
		require.Equal(t, task.Submitted, stored.Status)
		require.Equal(t, attempt, stored.Attempt, "the attempt stays, as the fencing token that was used")
		require.WithinRange(t, stored.DueAt, before.Add(low), after.Add(high))
		require.NotEqual(t, stored.ExecutionTime, stored.DueAt)
		require.Equal(t, &task.Failure{Code: task.HandlerError, Message: "it broke"}, stored.Failure)
		require.Zero(t, stored.StartedAt)
		require.Zero(t, stored.FinishedAt)
	}
}

// What failed together does not come back together.
func TestRetriesAreSpread(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 20, 2), f.session(t)
	f.start(t, session, ids...)
	ends := make([]task.Finish, len(ids))
	for i, id := range ids {
		ends[i] = task.Finish{ID: id, Attempt: 1, Failure: &task.Failure{Code: task.HandlerError}}
	}
	must(f.Finish(t.Context(), session, ends, task.Closed{}, true))(t)
	spread := f.count(t, `SELECT extract(milliseconds FROM max(due_at) - min(due_at))::int FROM tasks`)
	require.Greater(t, spread, 50, "of 400 ms; by chance less once in a universe")
}

// One row that somebody else has locked holds up its own end only.
func TestFinishPassesByALockedRow(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 10, 1), f.session(t)
	f.start(t, session, ids...)
	ends := make([]task.Finish, len(ids))
	for i, id := range ids {
		ends[i] = task.Finish{ID: id, Attempt: 1}
	}
	unlock := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[3])
	for _, wait := range []bool{true, false} {
		answers := must(f.Finish(t.Context(), session, ends, task.Closed{}, wait))(t)
		for i, answer := range answers {
			if i == 3 {
				require.Equal(t, task.Finished{Err: task.ErrLocked}, answer)
			} else {
				require.Equal(t, task.Finished{Status: task.Done}, answer)
			}
		}
	}
	unlock()
	require.Equal(t, task.Done, f.finish(t, session, ids[3], 1, "").Status)
	require.Equal(t, len(ids), f.count(t, `SELECT count(*) FROM tasks WHERE status = 'done'`))
}

func TestFinishDoneAfterARetryClearsTheFailure(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 2)[0], f.session(t)
	f.start(t, session, id)
	f.finish(t, session, id, 1, task.HandlerError)
	f.exec(t, `UPDATE tasks SET due_at = execution_time`)
	f.start(t, session, id)
	require.Equal(t, task.Done, f.finish(t, session, id, 2, "").Status)
	stored := f.get(t, id)
	require.Nil(t, stored.Failure)
	require.Equal(t, 2, stored.Attempt)
	require.NotZero(t, stored.FinishedAt)
}

func TestFinishRemovesTheReceiptsThatAreClosed(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, other := f.session(t), f.session(t)
	for seq := range int64(3) {
		f.exec(t, `INSERT INTO starts VALUES ($1, $3, '{}'), ($2, $3, '{}')`, session, other, seq)
	}
	answers, err := f.Finish(t.Context(), session, nil, task.Closed{Once: []int64{0, 2}}, true)
	require.NoError(t, err)
	require.Empty(t, answers)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1 AND seq = 1`, session))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, session))
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, other))
}

// The receipt of a start that was issued again stays, so that no late copy starts
// anything, but it no longer costs what a list of its tasks does.
func TestFinishEmptiesTheReceiptsOfStartsThatWereIssuedAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 9), f.session(t)
	require.Len(t, issue(t, f.DB, session, 1, ids[:2]), 2)
	must(f.Finish(t.Context(), session, []task.Finish{
		{ID: ids[0], Attempt: 1}, {ID: ids[1], Attempt: 1},
	}, task.Closed{Retried: []int64{1}}, true))(t)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM starts WHERE seq = 1 AND task_ids = '{}'`))
	require.Empty(t, issue(t, f.DB, session, 1, ids), "a late copy starts nothing")
	require.Equal(t, task.Submitted, f.get(t, ids[2]).Status)
}

func statuses(answers []task.Finished) []task.Status {
	all := make([]task.Status, len(answers))
	for i, answer := range answers {
		all[i] = answer.Status
	}
	return all
}
