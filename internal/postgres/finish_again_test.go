package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

// A batch of one done, one failed, one to be retried and one that was never
// this session's.
func mixedBatch(t *testing.T, f *fixture) (ends []task.Finish, want []task.Status) {
	t.Helper()
	retried := f.tasks(t, 1, 2)[0]
	ids := append(f.tasks(t, 3, 1), retried)
	broken := &task.Failure{Code: task.HandlerError, Message: "it broke"}
	ends = []task.Finish{
		{ID: ids[0], Attempt: 1},
		{ID: ids[1], Attempt: 1, Failure: broken},
		{ID: ids[2], Attempt: 1},
		{ID: retried, Attempt: 1, Failure: broken},
	}
	return ends, []task.Status{task.Done, task.Failed, "", task.Submitted}
}

func TestFinishWhoseReplyWasLostIsNotLate(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	session, other := f.session(t), f.session(t)
	ends, want := mixedBatch(t, f)
	f.start(t, session, ends[0].ID, ends[1].ID, ends[3].ID)
	f.start(t, other, ends[2].ID)
	through.loseReply("UPDATE")
	answers, err := db.Finish(t.Context(), session, ends, task.Closed{Once: []int64{f.seq.Load() - 1}}, true)
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, want, statuses(answers))
	require.InDelta(t, time.Second, answers[3].Delay, float64(patience))
	require.Zero(t, f.count(t, `SELECT count(*) FROM starts WHERE worker_id = $1`, session))
}

func TestFinishWhoseFirstCopyIsParkedIsNotLate(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	ids, session := f.tasks(t, 6, 1), f.session(t)
	f.start(t, session, ids...)
	ends := make([]task.Finish, len(ids))
	for i, id := range ids {
		ends[i] = task.Finish{ID: id, Attempt: 1}
	}
	commit := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[3])
	var answers []task.Finished
	var call errgroup.Group
	call.Go(func() (err error) {
		answers, err = db.Finish(t.Context(), session, ends, task.Closed{Once: []int64{f.seq.Load()}}, true)
		return err
	})
	f.awaitBlocked(t, 1)
	through.cut()
	f.awaitBlocked(t, 2)
	commit()
	require.NoError(t, call.Wait())
	for _, answer := range answers {
		require.Equal(t, task.Done, answer.Status)
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM starts`))
}

// What the reaper wrote is not an end of ours, also if the reply was lost.
func TestFinishAfterTheReaperIsLateAlsoWhenTriedAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	ids, session := append(f.tasks(t, 1, 1), f.tasks(t, 1, 2)...), f.session(t)
	f.start(t, session, ids...)
	require.Equal(t, 1, must(f.End(t.Context(), session))(t).Failed)
	through.loseReply("UPDATE")
	answers, err := db.Finish(t.Context(), session, []task.Finish{{ID: ids[0], Attempt: 1}, {ID: ids[1], Attempt: 1}}, task.Closed{}, true)
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.Equal(t, []task.Status{"", ""}, statuses(answers))
	require.Equal(t, task.WorkerLost, f.get(t, ids[0]).Failure.Code)
	require.Equal(t, task.WorkerLost, f.get(t, ids[1]).Failure.Code)
}

// Overlapping batches, each in its own order, end every attempt, and each learns it.
func TestFinishersRaceWithoutDeadlock(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	for range 25 {
		ids := f.tasks(t, 200, 1)
		f.start(t, session, ids...)
		var lanes errgroup.Group
		for range 4 {
			ends := make([]task.Finish, len(ids))
			for i, id := range ids {
				ends[i] = task.Finish{ID: id, Attempt: 1}
			}
			rand.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
			lanes.Go(func() error {
				answers, err := f.Finish(t.Context(), session, ends, task.Closed{}, true)
				if i := slices.IndexFunc(answers, func(a task.Finished) bool { return a.Status != task.Done }); err == nil && i >= 0 {
					return fmt.Errorf("answer %d is %+v", i, answers[i])
				}
				return err
			})
		}
		require.NoError(t, lanes.Wait())
	}
	require.NotContains(t, f.log.String(), "tried again", "no deadlock, so no retry")
}
