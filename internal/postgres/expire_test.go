package postgres_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

// until is a task due a minute ago that may start until that far from now.
func until(d time.Duration) task.Draft {
	late := draft()
	at := task.Floor(time.Now().UTC().Add(d))
	late.NotAfter = &at
	return late
}

func TestATaskDoesNotStartAfterItsTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := f.create(t, until(-time.Second), until(time.Hour), until(-time.Second), draft())
	session := f.session(t)
	started := issue(t, f.DB, session, 1, all)
	require.ElementsMatch(t, []task.ID{all[1], all[3]}, idsOf(started))

	waiting, err := f.Refused(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, waiting)
	for _, id := range []task.ID{all[0], all[2]} {
		ended := f.get(t, id)
		require.Equal(t, task.Failed, ended.Status)
		require.Equal(t, task.Expired, ended.Failure.Code)
		require.Zero(t, ended.Attempt)
		require.False(t, ended.FinishedAt.IsZero())
	}
	require.Equal(t, task.Done, f.finish(t, session, all[1], 1, "").Status)
}

// It holds for every attempt.
func TestALaterAttemptDoesNotStartAfterTheTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := until(time.Hour)
	d.MaxAttempts = 3
	id := f.create(t, d)[0]
	session := f.session(t)
	f.start(t, session, id)
	require.Equal(t, task.Submitted, f.finish(t, session, id, 1, task.Panic).Status)
	f.exec(t, `UPDATE tasks_open SET due_at = clock_timestamp(), not_after = clock_timestamp() - interval '1 ms' WHERE id = $1`, id)
	require.Empty(t, issue(t, f.DB, session, 7, []task.ID{id}))
	expired, more, err := f.Expire(t.Context(), 10)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []task.Ref{{ID: id, Type: "foo"}}, expired)
	require.Equal(t, 1, f.get(t, id).Attempt)
}

// What runs past its time goes on, and what can still start is not expired.
func TestWhatRunsIsNotExpired(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := f.create(t, until(time.Hour), until(time.Hour), until(-time.Minute))
	session := f.session(t)
	f.start(t, session, all[0])
	f.exec(t, `UPDATE tasks_open SET not_after = clock_timestamp() WHERE id = $1`, all[0])
	commit := f.hold(t, `SELECT FROM tasks_open WHERE id = $1 FOR UPDATE`, all[2])
	expired, _, err := f.Expire(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, expired, "another transaction may be about to start it")
	commit()
	expired, _, err = f.Expire(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, expired, 1)
	require.Equal(t, task.Started, f.get(t, all[0]).Status)
	require.Equal(t, task.Submitted, f.get(t, all[1]).Status)
}

// An occurrence that waits for its second attempt is no longer skipped, and stands in nobody's way.
func TestWhatWaitsForAnotherAttemptHidesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	again := draft()
	again.MaxAttempts = 2
	ids := f.create(t, again, until(-time.Second))
	session := f.session(t)
	f.start(t, session, ids[0])
	require.Equal(t, task.Submitted, f.finish(t, session, ids[0], 1, task.Panic).Status)
	f.exec(t, `UPDATE tasks_open SET skip_after = clock_timestamp() - interval '1 hour' WHERE id = $1`, ids[0])
	expired, _, err := f.Expire(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []task.Ref{{ID: ids[1], Type: "foo"}}, expired)
	require.Equal(t, task.Submitted, f.get(t, ids[0]).Status)
}

// A type's expires_in counts from the execution time and moves with it; a not_after of the task
// comes before it. A change holds for what waits.
func TestATypeExpires(t *testing.T) {
	t.Parallel()
	f := open(t)
	minute := time.Minute
	f.put(t, task.Type{Name: "rare", Handler: task.Lease, MaxAttempts: 1, ExpiresIn: &minute})
	of := func(kind string, overdue time.Duration, change func(*task.Draft)) task.Draft {
		d := draft()
		d.Type, d.ExecutionTime = kind, task.Ceil(time.Now().UTC().Add(-overdue))
		if change != nil {
			change(&d)
		}
		return d
	}
	later := task.Floor(time.Now().UTC().Add(time.Hour))
	all := f.create(t,
		of("rare", 2*time.Minute, nil), of("foo", 2*time.Minute, nil), of("rare", time.Second, nil),
		of("rare", 2*time.Minute, func(d *task.Draft) { d.NotAfter = &later }), of("rare", 2*time.Minute, nil))
	_, move := in(-time.Second)
	_, _, err := f.Change(t.Context(), f.get(t, all[4]), move)
	require.NoError(t, err)
	started := issue(t, f.DB, f.session(t), 1, all[:3])
	require.ElementsMatch(t, []task.ID{all[1], all[2]}, idsOf(started))

	var expired []task.Ref
	next, more := task.Due{}, true
	for more {
		var some []task.Ref
		some, next, more, err = f.ExpireByType(t.Context(), next, 2)
		require.NoError(t, err)
		expired = append(expired, some...)
	}
	require.Equal(t, []task.Ref{{ID: all[0], Type: "rare"}}, expired)
	require.Equal(t, task.Submitted, f.get(t, all[3]).Status)
	require.Equal(t, task.Submitted, f.get(t, all[4]).Status)

	f.put(t, task.Type{Name: "rare", Handler: task.Lease, MaxAttempts: 1})
	expired, _, more, err = f.ExpireByType(t.Context(), task.Due{}, 10)
	require.NoError(t, err)
	require.Empty(t, expired)
	require.False(t, more, "no type expires")
}

// Starts and sweeps race for tasks at the very moment: each of them starts by then or expires.
func TestExpiryRacedWithStarts(t *testing.T) {
	t.Parallel()
	f := open(t)
	const rounds, tasks = 40, 25
	session := f.session(t)
	limit := 1
	f.put(t, task.Type{Name: "rare", Handler: task.Lease, MaxAttempts: 1, MaxRunning: &limit})
	for range rounds {
		all := make([]task.Draft, tasks)
		for i := range all {
			all[i] = until(time.Duration(2000+200*i) * time.Microsecond)
			if i%5 == 0 {
				all[i].Type = "rare"
			}
		}
		ids := f.create(t, all...)
		for f.count(t, `SELECT count(*) FROM tasks_open WHERE status = 'submitted'`) > 0 {
			group, ctx := errgroup.WithContext(t.Context())
			group.Go(func() error { return startSome(ctx, f, session, ids) })
			group.Go(func() error {
				_, _, err := f.Expire(ctx, tasks)
				return err
			})
			require.NoError(t, group.Wait())
		}
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE started_at > not_after`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE (failure_code = 'expired') = (attempt > 0)`))
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE failure_code = 'expired' AND finished_at <= not_after`))
	require.Equal(t, rounds*tasks, f.count(t, `SELECT count(*) FROM tasks`))
}

func startSome(ctx context.Context, f *fixture, session uuid.UUID, ids []task.ID) error {
	_, _, err := f.Start(ctx, session, f.seq.Add(1), everyType, ids)
	if err == nil {
		_, _, _, err = f.StartCounted(ctx, session, f.seq.Add(1), "rare", ids)
	}
	return err
}

// The bounds of a task are stored as they came, are told apart under a key, and are changed one
// by one.
func TestBoundsOfATask(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := until(time.Hour)
	timeout := 90 * time.Second
	d.Timeout = &timeout
	d.Retry = &task.Retry{Delay: 1500 * time.Millisecond, Factor: 1.5, MaxDelay: time.Hour, Jitter: 0.1}
	d.Key = "bounds"
	id := f.create(t, d)[0]
	stored := f.get(t, id)
	require.True(t, d.NotAfter.Equal(*stored.NotAfter))
	require.Equal(t, d.Timeout, stored.Timeout)
	require.Equal(t, d.Retry, stored.Retry)

	again := d
	again.ID = uuid.Must(uuid.NewV7())
	require.Equal(t, id, f.create(t, again)[0])
	for _, change := range []func(*task.Draft){
		func(d *task.Draft) { d.NotAfter = nil },
		func(d *task.Draft) { d.Timeout = nil },
		func(d *task.Draft) { d.Retry = &task.Retry{Delay: time.Second, Factor: 1, MaxDelay: time.Hour} },
	} {
		other := again
		change(&other)
		require.ErrorIs(t, f.Create(t.Context(), []task.Draft{other})[0].Err, task.ErrKeyReused)
	}

	changed, _, err := f.Change(t.Context(), stored, task.Change{Timeout: &task.To[time.Duration]{}})
	require.NoError(t, err)
	require.Nil(t, changed.Timeout)
	require.Equal(t, d.Retry, changed.Retry)
	retry := task.DefaultRetry()
	changed, _, err = f.Change(t.Context(), changed, task.Change{
		NotAfter: &task.To[time.Time]{}, Retry: &task.To[task.Retry]{Value: &retry}, Payload: json.RawMessage(`{}`), SetPayload: true,
	})
	require.NoError(t, err)
	require.Nil(t, changed.NotAfter)
	require.Equal(t, &retry, changed.Retry)
	require.Equal(t, changed, f.get(t, id))
}

// A task's own retry comes before that of its type. Jitter spreads what waits as long as it can.
func TestATaskSaysHowItIsRetried(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.put(t, task.Type{Name: "rare", Handler: task.Lease, MaxAttempts: 1, Retry: &task.Retry{Delay: time.Hour, Factor: 1, MaxDelay: time.Hour}})
	all := drafts(200)
	for i := range all {
		all[i].Type, all[i].MaxAttempts = "rare", 100
		all[i].Retry = &task.Retry{Delay: time.Second, Factor: 2, MaxDelay: 2 * time.Second, Jitter: 0.2}
	}
	ids := f.create(t, all...)
	f.exec(t, `UPDATE tasks_open SET attempt = 50`)
	session := f.session(t)
	f.start(t, session, ids...)
	ends := make([]task.Finish, len(ids))
	for i, id := range ids {
		ends[i] = task.Finish{ID: id, Attempt: 51, Failure: &task.Failure{Code: task.Panic}}
	}
	answers, err := f.Finish(t.Context(), session, ends, task.Closed{}, true)
	require.NoError(t, err)
	least, most := time.Hour, time.Duration(0)
	for _, a := range answers {
		least, most = min(least, a.Delay), max(most, a.Delay)
	}
	require.Greater(t, most-least, 300*time.Millisecond)
	require.Less(t, most, 2500*time.Millisecond)
}
