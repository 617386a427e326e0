package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

const grace = 10 * time.Second

func TestReapWaitsForTheLeaseAndTheGrace(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, c := range []struct {
		name string
		ago  time.Duration
		dead bool
	}{
		{"live", -time.Second, false},
		{"lapsed within the grace", grace / 2, false},
		{"lapsed beyond the grace", grace + time.Second, true},
	} {
		session, id := f.session(t), f.tasks(t, 1, 1)[0]
		f.start(t, session, id)
		f.lapse(t, session, c.ago)
		reaped, err := f.Reap(t.Context(), grace)
		require.NoError(t, err)
		if !c.dead {
			require.Zero(t, reaped.Sessions, c.name)
			require.NotNil(t, reaped.Next, c.name)
			require.LessOrEqual(t, *reaped.Next, grace-c.ago, c.name)
			require.GreaterOrEqual(t, *reaped.Next, time.Duration(0), c.name)
			require.Equal(t, task.Started, f.get(t, id).Status, c.name)
			require.NoError(t, f.Renew(t.Context(), session, lease), c.name)
			continue
		}
		require.Equal(t, task.Reaped{Sessions: 1, Failed: 1}, reaped, c.name)
		require.Equal(t, task.WorkerLost, f.get(t, id).Failure.Code, c.name)
		require.ErrorIs(t, f.Renew(t.Context(), session, lease), task.ErrSessionLost, c.name)
		require.Zero(t, must(f.Reap(t.Context(), grace))(t).Sessions, "once is all")
	}
}

func TestASessionsEndSettlesWhatItHadRunning(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, f *fixture, session uuid.UUID) (task.Reaped, error){
		"reaped": func(t *testing.T, f *fixture, session uuid.UUID) (task.Reaped, error) {
			t.Helper()
			f.lapse(t, session, time.Minute)
			return f.Reap(t.Context(), grace)
		},
		"ended by itself": func(t *testing.T, f *fixture, session uuid.UUID) (task.Reaped, error) {
			t.Helper()
			return f.End(t.Context(), session)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			session, other := f.session(t), f.session(t)
			once, again, moved, done := f.tasks(t, 2, 1), f.tasks(t, 2, 2), f.tasks(t, 1, 3)[0], f.tasks(t, 1, 1)[0]
			theirs := f.tasks(t, 1, 1)[0]
			f.start(t, session, append(append(once, again...), moved, done)...)
			f.start(t, other, theirs)
			f.finish(t, session, done, 1, "")
			f.finish(t, session, moved, 1, task.Panic)
			f.exec(t, `UPDATE tasks SET due_at = execution_time WHERE id = $1`, moved)
			f.start(t, other, moved)
			untouched := []*task.Task{f.get(t, done), f.get(t, moved), f.get(t, theirs)}

			reaped, err := end(t, f, session)
			require.NoError(t, err)
			require.Equal(t, 1, reaped.Sessions)
			require.Equal(t, 2, reaped.Failed)
			require.ElementsMatch(t, []task.Wait{{ID: again[0]}, {ID: again[1]}}, reaped.Retried)
			for _, id := range once {
				lost := f.get(t, id)
				require.Equal(t, task.Failed, lost.Status)
				require.Equal(t, task.WorkerLost, lost.Failure.Code)
				require.NotEmpty(t, lost.Failure.Message)
				require.False(t, lost.FinishedAt.Before(lost.StartedAt))
			}
			now := must(f.Now(t.Context()))(t)
			for _, id := range again {
				lost := f.get(t, id)
				require.Equal(t, task.Submitted, lost.Status)
				require.Equal(t, 1, lost.Attempt)
				require.Equal(t, task.WorkerLost, lost.Failure.Code)
				require.WithinRange(t, lost.DueAt, now.Add(-patience), now, "due at once")
				require.Zero(t, lost.StartedAt)
				require.Zero(t, lost.FinishedAt)
			}
			for _, before := range untouched {
				require.Equal(t, before, f.get(t, before.ID))
			}
			require.Zero(t, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, session))
			require.Equal(t, 2, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, other))
			require.Equal(t, 2, f.start(t, other, again...)[0].Attempt)
		})
	}
}

func TestAZombieWritesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, ids := f.session(t), append(f.tasks(t, 1, 1), f.tasks(t, 1, 2)...)
	f.start(t, session, ids...)
	f.lapse(t, session, time.Minute)
	require.Equal(t, 1, must(f.Reap(t.Context(), grace))(t).Sessions)
	before := []*task.Task{f.get(t, ids[0]), f.get(t, ids[1])}

	require.NoError(t, f.Register(t.Context(), session, "host", lease))
	require.ErrorIs(t, f.Renew(t.Context(), session, lease), task.ErrSessionLost)
	require.Zero(t, f.count(t, `SELECT count(*) FROM workers WHERE lease_until > clock_timestamp()`))
	for i, id := range ids {
		require.Equal(t, task.Finished{}, f.finish(t, session, id, 1, ""))
		require.Equal(t, task.Finished{}, f.finish(t, session, id, 1, task.HandlerError))
		for _, seq := range []int64{1, 2} {
			require.Empty(t, issue(t, f.DB, session, seq, ids))
		}
		require.Equal(t, before[i], f.get(t, id))
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM starts`))
}

func TestReapersAtOnceSettleOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	for range 10 {
		session := f.session(t)
		f.start(t, session, append(f.tasks(t, 20, 1), f.tasks(t, 20, 2)...)...)
		f.lapse(t, session, time.Minute)
		var mu sync.Mutex
		var sum task.Reaped
		var all errgroup.Group
		for range 4 {
			all.Go(func() error {
				reaped, err := f.Reap(t.Context(), grace)
				mu.Lock()
				defer mu.Unlock()
				sum.Sessions += reaped.Sessions
				sum.Failed += reaped.Failed
				sum.Retried = append(sum.Retried, reaped.Retried...)
				return err
			})
		}
		require.NoError(t, all.Wait())
		require.Equal(t, 1, sum.Sessions)
		require.Equal(t, 20, sum.Failed)
		require.Len(t, sum.Retried, 20)
	}
}

// The reply to the reaper's commit is lost: the second try finds nothing left
// to do, and what the first one settled stays settled.
func TestReapWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	proxy, url := newProxy(t, f.url)
	db := f.connect(t, url)
	session, id := f.session(t), f.tasks(t, 1, 1)[0]
	f.start(t, session, id)
	f.lapse(t, session, time.Minute)
	proxy.loseReply("COMMIT")
	_, err := db.Reap(t.Context(), grace)
	require.NoError(t, err)
	require.Equal(t, 1, proxy.losses())
	require.Equal(t, task.WorkerLost, f.get(t, id).Failure.Code)
	require.Zero(t, must(db.Reap(t.Context(), grace))(t).Sessions)
}
