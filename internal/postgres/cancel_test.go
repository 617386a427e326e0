package postgres_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// cancel asks for the end of a task and requires that it was not refused.
func (f *fixture) cancel(t *testing.T, id task.ID) *task.Task {
	t.Helper()
	cancelled, err := f.Cancel(t.Context(), id)
	require.NoError(t, err)
	return cancelled
}

func requireCancelRefused(t *testing.T, db *postgres.DB, id task.ID, want task.Status) {
	t.Helper()
	_, err := db.Cancel(t.Context(), id)
	var refused *task.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Status)
}

func (f *fixture) cancels(t *testing.T, session uuid.UUID) []task.ID {
	t.Helper()
	ids, err := f.Cancels(t.Context(), session)
	require.NoError(t, err)
	return ids
}

func TestCancelOfWhatHasNotStartedDeletesIt(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 2, 2), f.session(t)
	f.start(t, session, ids[1])
	require.Equal(t, task.Submitted, f.finish(t, session, ids[1], 1, task.HandlerError).Status)
	for _, id := range ids {
		require.Equal(t, &task.Task{ID: id, Type: "foo", Status: task.Deleted}, f.cancel(t, id))
		deleted := f.get(t, id)
		require.Equal(t, task.Deleted, deleted.Status)
		require.Zero(t, deleted.CancelRequestedAt)
		requireCancelRefused(t, f.DB, id, task.Deleted)
	}
	_, err := f.Cancel(t.Context(), uuid.New())
	require.ErrorIs(t, err, task.ErrNotFound)
}

// The wish stands in the row, and its session finds it for as long as it runs.
func TestCancelOfWhatRuns(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session, other := f.tasks(t, 3, 3), f.session(t), f.session(t)
	f.start(t, session, ids[:2]...)
	f.start(t, other, ids[2])
	require.Empty(t, f.cancels(t, session))
	var wished []*task.Task
	for _, id := range ids {
		first := f.cancel(t, id)
		require.Equal(t, task.Started, first.Status)
		require.NotZero(t, first.CancelRequestedAt)
		require.Equal(t, first, f.cancel(t, id), "once more changes nothing")
		require.Equal(t, first, f.get(t, id))
		wished = append(wished, first)
	}
	require.ElementsMatch(t, ids[:2], f.cancels(t, session))
	require.ElementsMatch(t, ids[:2], f.cancels(t, session))
	require.Equal(t, ids[2:], f.cancels(t, other))

	require.Equal(t, task.Failed, f.finish(t, session, ids[0], 1, task.Cancelled).Status)
	require.Equal(t, task.Done, f.finish(t, session, ids[1], 1, "").Status)
	require.Empty(t, f.cancels(t, session))
	for i, status := range []task.Status{task.Failed, task.Done} {
		before := f.get(t, ids[i])
		require.Equal(t, wished[i].CancelRequestedAt, before.CancelRequestedAt, "the history has it")
		requireCancelRefused(t, f.DB, ids[i], status)
		require.Equal(t, before, f.get(t, ids[i]))
	}
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM cancels`), "what has ended is forgotten")
	_, err := f.End(t.Context(), other)
	require.NoError(t, err)
	require.Zero(t, f.count(t, `SELECT count(*) FROM cancels`))
}

// Whatever ends the attempt, there is no further one: not even if several were left, and not
// if the worker is lost.
func TestACancelledTaskIsNotAttemptedAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, code := range []task.Code{task.Cancelled, task.HandlerError, task.Timeout, task.Panic, task.WorkerStopped} {
		id, session := f.tasks(t, 1, 3)[0], f.session(t)
		f.start(t, session, id)
		f.cancel(t, id)
		require.Equal(t, task.Failed, f.finish(t, session, id, 1, code).Status)
		require.Equal(t, code, f.get(t, id).Failure.Code)
	}
	for name, end := range map[string]func(session uuid.UUID){
		"reaped": func(session uuid.UUID) {
			f.lapse(t, session, time.Hour)
			require.Equal(t, task.Reaped{Sessions: 1, Failed: 1}, f.reap(t, f.DB))
		},
		"ended": func(session uuid.UUID) {
			out, err := f.End(t.Context(), session)
			require.NoError(t, err)
			require.Empty(t, out.Retried)
		},
	} {
		id, session := f.tasks(t, 1, 3)[0], f.session(t)
		f.start(t, session, id)
		f.cancel(t, id)
		end(session)
		require.Equal(t, task.WorkerLost, f.get(t, id).Failure.Code, name)
		require.Empty(t, issue(t, f.DB, f.session(t), f.seq.Add(1), []task.ID{id}))
	}
}

// An end that waits for the wish reads it, and a wish that waits for an end that puts the
// task back deletes that.
func TestAnEndAndAWishThatMeet(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 2, 3), f.session(t)
	f.start(t, session, ids...)

	commit := f.hold(t, `UPDATE tasks_open SET cancel_requested_at = clock_timestamp() WHERE id = $1`, ids[0])
	var finisher errgroup.Group
	finisher.Go(func() error {
		_, err := f.Finish(t.Context(), session, []task.Finish{{ID: ids[0], Attempt: 1, Failure: &task.Failure{Code: task.HandlerError}}}, task.Closed{}, true)
		return err
	})
	f.awaitBlocked(t, 1)
	commit()
	require.NoError(t, finisher.Wait())
	require.Equal(t, task.Failed, f.get(t, ids[0]).Status)

	commit = f.hold(t, `UPDATE tasks_open SET status = 'submitted', started_at = NULL WHERE id = $1`, ids[1])
	var canceller errgroup.Group
	canceller.Go(func() error {
		_, err := f.Cancel(t.Context(), ids[1])
		return err
	})
	f.awaitBlocked(t, 1)
	commit()
	require.NoError(t, canceller.Wait())
	require.Equal(t, task.Deleted, f.get(t, ids[1]).Status)
}

func TestCancelWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	ids, session := f.tasks(t, 2, 2), f.session(t)
	f.start(t, session, ids[0])
	through.loseReply("SELECT")
	wished, err := db.Cancel(t.Context(), ids[0])
	require.NoError(t, err)
	require.Equal(t, wished, f.get(t, ids[0]))
	through.loseReply("INSERT")
	deleted, err := db.Cancel(t.Context(), ids[1])
	require.NoError(t, err)
	require.Equal(t, task.Deleted, deleted.Status)
	require.Equal(t, 2, through.losses())
}

// A worker that would attempt the task again keeps it from being cancelled while it runs.
func TestCancelWaitsForOlderWorkersToGo(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 2, 2), f.session(t)
	f.start(t, session, ids[0])
	f.exec(t, `INSERT INTO workers (id, host, lease_until, protocol) VALUES ($1, 'old', clock_timestamp() + interval '1 hour', 2)`, uuid.New())
	_, err := f.Cancel(t.Context(), ids[0])
	require.ErrorIs(t, err, task.ErrOlderWorkers)
	require.Zero(t, f.get(t, ids[0]).CancelRequestedAt)
	require.Equal(t, task.Deleted, f.cancel(t, ids[1]).Status)
	f.exec(t, `UPDATE workers SET dead_at = clock_timestamp() WHERE protocol = 2`)
	require.Equal(t, task.Started, f.cancel(t, ids[0]).Status)
}

// Cancels, starts and ends of the same tasks at once: what was told to be deleted never
// starts, what was asked to be cancelled has no further attempt, and what has ended stays.
func TestCancelsRaceWithStartsAndEnds(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 200
	ids, session := f.tasks(t, n, 3), f.session(t)
	var mu sync.Mutex
	deleted, wished := map[task.ID]bool{}, map[task.ID]int{}
	var all errgroup.Group
	for range 4 {
		all.Go(func() error {
			for _, i := range rand.Perm(n) {
				cancelled, err := f.Cancel(t.Context(), ids[i])
				if refused := (*task.StatusError)(nil); err != nil && !errors.As(err, &refused) {
					return err
				} else if err == nil {
					mu.Lock()
					if deleted[ids[i]] = cancelled.Status == task.Deleted; cancelled.Status == task.Started {
						wished[ids[i]] = cancelled.Attempt
					}
					mu.Unlock()
				}
			}
			return nil
		})
	}
	for range 2 {
		all.Go(func() error {
			for range 3 * n / 10 {
				some := make([]task.ID, 10)
				for i := range some {
					some[i] = ids[rand.IntN(n)]
				}
				started, _, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, some)
				if err != nil {
					return err
				}
				var ends []task.Finish
				for _, s := range started {
					end := task.Finish{ID: s.ID, Attempt: s.Attempt}
					if rand.IntN(2) == 0 {
						end.Failure = &task.Failure{Code: task.HandlerError}
					}
					ends = append(ends, end)
				}
				if _, err := f.Finish(t.Context(), session, ends, task.Closed{}, true); err != nil {
					return err
				}
				if _, err := f.sql.Exec(t.Context(), `UPDATE tasks_open SET due_at = execution_time WHERE status = 'submitted' AND due_at > clock_timestamp()`); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	for id := range wished {
		found := f.get(t, id)
		require.NotEqual(t, task.Submitted, found.Status)
		require.Equal(t, wished[id], found.Attempt, "no attempt starts after the wish")
		require.NotZero(t, found.CancelRequestedAt)
	}
	for id, is := range deleted {
		require.True(t, !is || f.get(t, id).Status == task.Deleted)
	}
	require.NotEmpty(t, deleted)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'submitted' AND cancel_requested_at IS NOT NULL`))
}
