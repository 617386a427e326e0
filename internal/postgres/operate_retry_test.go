package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

func TestAnOperationCancels(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, one, two := f.tasks(t, 6, 3), f.session(t), f.session(t)
	f.start(t, one, ids[:2]...)
	f.start(t, two, ids[2])
	f.start(t, two, ids[3])
	f.finish(t, two, ids[3], 1, "")
	o, acted := f.operate(t, task.Operation{Action: task.ActionCancel})
	require.Equal(t, [2]int64{5, 0}, [2]int64{o.Done, o.Skipped})
	require.ElementsMatch(t, []uuid.UUID{one, two}, acted.Told)
	require.ElementsMatch(t, []task.Ref{{ID: ids[4], Type: "foo"}, {ID: ids[5], Type: "foo"}}, acted.Ended)
	for _, id := range ids[:3] {
		running := f.get(t, id)
		require.Equal(t, task.Started, running.Status)
		require.NotZero(t, running.CancelRequestedAt)
	}
	wanted, err := f.Cancels(t.Context(), one)
	require.NoError(t, err)
	require.ElementsMatch(t, ids[:2], wanted)
	require.Equal(t, task.Done, f.finish(t, one, ids[0], 1, "").Status, "as its handler says")
	require.Equal(t, task.Failed, f.finish(t, one, ids[1], 1, task.Cancelled).Status, "no attempt is left")
	require.Equal(t, task.Done, f.get(t, ids[3]).Status)

	o, acted = f.operate(t, task.Operation{Action: task.ActionCancel, Filter: task.Filter{Status: task.Started}})
	require.EqualValues(t, 1, o.Done, "again, which is as good")
	require.Equal(t, []uuid.UUID{two}, acted.Told)
	f.exec(t, `UPDATE workers SET protocol = 2 WHERE id = $1`, one)
	o, _ = f.operate(t, task.Operation{Action: task.ActionCancel})
	require.Equal(t, []task.Skip{{ID: ids[2], Reason: "older_workers"}}, o.Samples)
}

// A task that starts while the page waits for it is not passed over.
func TestACancelMeetsATaskThatStartsMeanwhile(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 1), f.session(t)
	o := f.ask(t, task.Operation{Action: task.ActionCancel})
	page := wholeOf(f.look(t, o))
	commit := f.hold(t, `UPDATE tasks_open SET status = 'started_executing', worker_id = $2, attempt = 1, started_at = now() WHERE id = $1`, ids[1], session)
	acted := make(chan task.Acted, 1)
	go func() {
		did, _ := f.Operate(t.Context(), &o, page)
		acted <- did
	}()
	f.awaitBlocked(t, 1)
	commit()
	did := <-acted
	require.Equal(t, []uuid.UUID{session}, did.Told)
	require.Len(t, did.Ended, 2)
	require.NotZero(t, f.get(t, ids[1]).CancelRequestedAt)
}

// E6: starts and ends go on beside the operation, and no status goes back.
func TestACancelOfWhatRunsAndWaits(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n = 300
	ids, session := f.tasks(t, n, 1), f.session(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan task.ID, n)
	var work errgroup.Group
	work.Go(func() error {
		for part := range slices.Chunk(ids, 10) {
			started, _, err := f.Start(ctx, session, f.seq.Add(1), everyType, part)
			if err != nil {
				return err
			}
			for i, s := range started {
				if i%2 == 0 {
					continue // it runs on
				}
				if _, err := f.Finish(ctx, session, []task.Finish{{ID: s.ID, Attempt: 1}}, task.Closed{}, true); err != nil {
					return err
				}
				ended <- s.ID
			}
		}
		return nil
	})
	o := f.ask(t, task.Operation{Action: task.ActionCancel})
	found := f.look(t, o)
	for part := range slices.Chunk(found.IDs, 25) {
		_, err := f.Operate(t.Context(), &o, task.OperationPage{IDs: part, Next: part[len(part)-1]})
		require.NoError(t, err)
		o.Before = part[len(part)-1]
	}
	require.NoError(t, work.Wait())
	stop()
	close(ended)
	for id := range ended {
		require.Equal(t, task.Done, f.get(t, id).Status)
	}
	now, err := f.GetOperation(t.Context(), o.ID)
	require.NoError(t, err)
	require.EqualValues(t, len(found.IDs), now.Done+now.Skipped)
	deleted := f.count(t, `SELECT count(*) FROM tasks WHERE status = 'deleted' AND started_at IS NULL`)
	wished := f.count(t, `SELECT count(*) FROM tasks WHERE cancel_requested_at IS NOT NULL`)
	require.EqualValues(t, deleted+wished, now.Done, "each that counts as done is so")
}

func TestAnOperationRetries(t *testing.T) {
	t.Parallel()
	f := open(t)
	all := drafts(8)
	past, until := time.Now().UTC().Add(-time.Second).Truncate(time.Microsecond), time.Now().UTC().Add(time.Hour).Truncate(time.Microsecond)
	for i := range all {
		all[i].Labels, all[i].Payload, all[i].Key = task.Labels{"a:1"}, []byte(`{ "n" : 1.10 }`), uuid.NewString()
	}
	all[1].NotAfter, all[4].Type = &until, "zz"
	ids, session := f.create(t, all...), f.session(t)
	f.start(t, session, ids[:4]...)
	for i, code := range []task.Code{task.HandlerError, task.HandlerError, ""} {
		f.finish(t, session, ids[i], 1, code)
	}
	f.exec(t, `UPDATE tasks SET not_after = $2 WHERE id = $1`, ids[0], past)
	require.NoError(t, f.Delete(t.Context(), ids[4]))
	require.NoError(t, f.Delete(t.Context(), ids[5]))
	f.exec(t, `DELETE FROM types WHERE name = 'zz'`)
	before := f.row(t, ids[0])

	o, acted := f.operate(t, task.Operation{Action: task.ActionRetry, Filter: only("a:1")})
	require.Equal(t, [2]int64{3, 1}, [2]int64{o.Done, o.Skipped})
	require.Equal(t, []task.Skip{{ID: ids[4], Reason: "undeclared_type"}}, o.Samples)
	require.Len(t, acted.Due, 3)
	olds := map[task.ID]*task.Task{}
	for _, due := range acted.Due {
		made := f.get(t, due.ID)
		olds[made.RetryOf] = made
		require.Equal(t, task.Submitted, made.Status)
		require.JSONEq(t, `{"n":1.10}`, string(made.Payload))
		require.Equal(t, task.Labels{"a:1"}, made.Labels)
		require.Equal(t, due.At, made.ExecutionTime)
	}
	require.Len(t, olds, 3)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE traceparent IS NOT NULL OR retry_of IS NOT NULL AND idempotency_key IS NOT NULL`))
	require.Nil(t, olds[ids[0]].NotAfter, "it has passed")
	require.Equal(t, until, *olds[ids[1]].NotAfter)
	require.NotNil(t, olds[ids[5]])
	require.Equal(t, before, f.row(t, ids[0]), "it stays as it ended")
	require.Equal(t, 8+3, f.count(t, `SELECT count(*) FROM task_labels WHERE label = 'a:1'`))

	again, _ := f.operate(t, task.Operation{Action: task.ActionRetry, Filter: task.Filter{Status: task.Failed, Type: "foo"}})
	require.Equal(t, [2]int64{2, 0}, [2]int64{again.Done, again.Skipped}, "what is new has not ended")
	all0, _ := f.operate(t, task.Operation{Action: task.ActionRetry, DryRun: true})
	require.Equal(t, [2]int64{3, 1}, [2]int64{all0.Done, all0.Skipped})
	typed, _ := f.operate(t, task.Operation{Action: task.ActionRetry, Filter: task.Filter{Type: "foo"}, DryRun: true})
	require.EqualValues(t, 3, typed.Done)
}
