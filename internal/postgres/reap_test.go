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
		reaped := f.reap(t, f.DB)
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
		require.Zero(t, f.reap(t, f.DB).Sessions, "once is all")
	}
}

func TestASessionsEndSettlesWhatItHadRunning(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, f *fixture, session uuid.UUID) (task.Reaped, error){
		"reaped": func(t *testing.T, f *fixture, session uuid.UUID) (task.Reaped, error) {
			t.Helper()
			f.lapse(t, session, time.Minute)
			return f.reap(t, f.DB), nil
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
			require.Len(t, reaped.Retried, 2)
			for _, retried := range reaped.Retried {
				require.Contains(t, again, retried.ID)
				require.InDelta(t, time.Second, retried.Delay, float64(200*time.Millisecond), "after a pause, as any failed attempt")
			}
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
				require.WithinRange(t, lost.DueAt, now.Add(-patience), now.Add(2*time.Second))
				require.Zero(t, lost.StartedAt)
				require.Zero(t, lost.FinishedAt)
			}
			for _, before := range untouched {
				require.Equal(t, before, f.get(t, before.ID))
			}
			require.Zero(t, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, session))
			require.Equal(t, 2, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, other))
			f.exec(t, `UPDATE tasks SET due_at = execution_time WHERE id = ANY($1)`, again)
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
	require.Equal(t, 1, f.reap(t, f.DB).Sessions)
	before := []*task.Task{f.get(t, ids[0]), f.get(t, ids[1])}

	require.ErrorIs(t, f.Register(t.Context(), session, "host", lease), task.ErrSessionLost)
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
	judge := f.judge(t)
	for range 10 {
		session := f.session(t)
		f.start(t, session, append(f.tasks(t, 20, 1), f.tasks(t, 20, 2)...)...)
		f.lapse(t, session, time.Minute)
		var mu sync.Mutex
		var sum task.Reaped
		var all errgroup.Group
		for range 4 {
			all.Go(func() error {
				reaped, err := f.Reap(t.Context(), judge, lease, grace)
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

// The reply to the reaper's commit is lost: that is no reason to judge again. The
// next call finds nothing left to do, and what was settled stays settled.
func TestReapWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	session, id := f.session(t), f.tasks(t, 1, 1)[0]
	f.start(t, session, id)
	f.lapse(t, session, time.Minute)
	through.loseReply("COMMIT")
	_, err := db.Reap(t.Context(), f.judge(t), lease, grace)
	require.Error(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, task.WorkerLost, f.get(t, id).Failure.Code)
	require.Zero(t, f.reap(t, db).Sessions)
}

// Who was out of reach of Postgres a moment ago cannot tell the dead from those
// who were out of reach as well.
func TestAJudgeInDoubtReapsNobody(t *testing.T) {
	t.Parallel()
	f := open(t)
	session, id := f.session(t), f.tasks(t, 1, 1)[0]
	f.start(t, session, id)
	f.lapse(t, session, time.Minute)
	for name, doubt := range map[string]string{
		"unknown":                      `DELETE FROM workers WHERE id = $1`,
		"dead":                         `UPDATE workers SET dead_at = clock_timestamp() WHERE id = $1`,
		"its lease has passed":         `UPDATE workers SET lease_until = clock_timestamp() - interval '1 s' WHERE id = $1`,
		"not renewed for half a lease": `UPDATE workers SET renewed_at = clock_timestamp() - interval '31 min' WHERE id = $1`,
		"renewed again since a moment": `UPDATE workers SET steady_since = clock_timestamp() - interval '30 min' WHERE id = $1`,
		"opened its session just now":  `UPDATE workers SET steady_since = clock_timestamp() WHERE id = $1`,
	} {
		judge := f.judge(t)
		f.exec(t, doubt, judge)
		require.Zero(t, must(f.Reap(t.Context(), judge, lease, grace))(t).Sessions, name)
		require.Equal(t, task.Started, f.get(t, id).Status, name)
		require.NoError(t, f.Renew(t.Context(), session, lease), name)
		f.lapse(t, session, time.Minute)
		f.exec(t, `DELETE FROM workers WHERE id = $1`, judge)
	}
	require.Equal(t, 1, f.reap(t, f.DB).Sessions)
}

func TestARenewalAfterAGapBeginsAnew(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.judge(t)
	steady := func() bool {
		return f.count(t, `SELECT count(*) FROM workers WHERE id = $1 AND steady_since < clock_timestamp() - interval '1 h'`, session) == 1
	}
	require.NoError(t, f.Renew(t.Context(), session, lease))
	require.True(t, steady())
	f.exec(t, `UPDATE workers SET renewed_at = clock_timestamp() - interval '29 min' WHERE id = $1`, session)
	require.NoError(t, f.Renew(t.Context(), session, lease))
	require.True(t, steady(), "two heartbeats that are half a lease apart are no gap")
	f.exec(t, `UPDATE workers SET renewed_at = clock_timestamp() - interval '31 min' WHERE id = $1`, session)
	require.NoError(t, f.Renew(t.Context(), session, lease))
	require.False(t, steady())
}
