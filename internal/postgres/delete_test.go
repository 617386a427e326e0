package postgres_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tasks(t, 1, 1)[0]
	require.NoError(t, f.Delete(t.Context(), id))
	deleted := f.get(t, id)
	require.Equal(t, task.Deleted, deleted.Status)
	require.NotZero(t, deleted.FinishedAt)
	require.NoError(t, f.Delete(t.Context(), id), "again")
	require.Equal(t, deleted, f.get(t, id))
	require.ErrorIs(t, f.Delete(t.Context(), uuid.New()), task.ErrNotFound)
}

func TestDeleteIsRefusedOnceATaskHasStarted(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 1), f.session(t)
	f.start(t, session, ids...)
	f.finish(t, session, ids[1], 1, "")
	f.finish(t, session, ids[2], 1, task.Timeout)
	for i, want := range []task.Status{task.Started, task.Done, task.Failed} {
		before := f.get(t, ids[i])
		var refused *task.StatusError
		require.ErrorAs(t, f.Delete(t.Context(), ids[i]), &refused)
		require.Equal(t, want, refused.Status)
		require.Equal(t, before, f.get(t, ids[i]))
	}
}

func TestDeleteOfATaskThatWaitsForItsRetry(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 2)[0], f.session(t)
	f.start(t, session, id)
	require.Equal(t, task.Submitted, f.finish(t, session, id, 1, task.HandlerError).Status)
	require.NoError(t, f.Delete(t.Context(), id))
	f.exec(t, `UPDATE tasks SET due_at = execution_time`)
	require.Empty(t, issue(t, f.DB, session, f.seq.Add(1), []task.ID{id}))
}

func TestDeleteWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	id := f.tasks(t, 1, 1)[0]
	through.loseReply("INSERT")
	require.NoError(t, errorOf(db.Delete(t.Context(), id)))
	require.Equal(t, 1, through.losses())
	require.Equal(t, task.Deleted, f.get(t, id).Status)
}

// Deleters and starters meet on the same tasks: nil means never started, a
// refusal means started once, and there is nothing in between.
func TestDeletersRaceWithStarters(t *testing.T) {
	t.Parallel()
	f := open(t)
	const n, deleters, starters = 2000, 4, 2
	ids, session := f.tasks(t, n, 1), f.session(t)
	rand.Shuffle(n, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	var mu sync.Mutex
	started, answers := map[task.ID]int{}, map[task.ID]error{}
	var all errgroup.Group
	for mine := range slices.Chunk(ids, n/deleters) {
		all.Go(func() error {
			for _, id := range mine {
				err := f.Delete(t.Context(), id)
				mu.Lock()
				answers[id] = err
				mu.Unlock()
			}
			return nil
		})
	}
	for starter := range starters {
		all.Go(func() error {
			// Starters want every task, the last to be deleted first, in a pace
			// that lets both sides win some.
			for at := n / deleters; at > 0; at -= 10 {
				var want []task.ID
				for lane := range deleters {
					want = append(want, ids[lane*n/deleters+at-10:lane*n/deleters+at]...)
				}
				got, _, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, want[:len(want)-starter])
				if err != nil {
					return err
				}
				mu.Lock()
				for _, one := range got {
					started[one.ID]++
				}
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	require.Len(t, answers, n)
	deleted := 0
	for id, err := range answers {
		var refused *task.StatusError
		switch {
		case err == nil:
			deleted++
			require.Zero(t, started[id], "deleted and started")
		case errors.As(err, &refused):
			require.Equal(t, task.Started, refused.Status)
			require.Equal(t, 1, started[id], "refused, so started once")
		default:
			require.NoError(t, err)
		}
	}
	require.Positive(t, deleted)
	require.Less(t, deleted, n)
	require.Equal(t, deleted, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'deleted' AND attempt = 0`))
	require.Equal(t, n-deleted, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'started_executing' AND attempt = 1`))
}
