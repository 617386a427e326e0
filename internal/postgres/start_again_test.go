package postgres_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

func TestStartWhoseReplyWasLostIsAnswered(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	ids, session := f.tasks(t, 10, 9), f.session(t)
	through.loseReply("SELECT")
	started, retried, err := db.Start(t.Context(), session, 1, everyType, ids)
	require.NoError(t, err)
	require.True(t, retried, "a copy may be on its way")
	require.Equal(t, 1, through.losses())
	require.ElementsMatch(t, ids, idsOf(started))
	require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'started_executing' AND attempt = 1`))
}

// The first copy of a start waits for a row when its connection breaks, and
// the server does not notice. The second copy must come to one answer with it,
// whichever of them gets the row.
func TestStartWhoseFirstCopyIsParked(t *testing.T) {
	t.Parallel()
	for name, locked := range map[string]int{"at its first row": 0, "half-way": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			through, url := newProxy(t, f.url)
			db := f.connect(t, url)
			ids, session := f.tasks(t, 10, 9), f.session(t)
			commit := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[locked])

			var started []task.Task
			var retried bool
			var call errgroup.Group
			call.Go(func() (err error) {
				started, retried, err = db.Start(t.Context(), session, 1, everyType, ids)
				return err
			})
			f.awaitBlocked(t, 1)
			through.cut()
			f.awaitBlocked(t, 2)
			commit()
			require.NoError(t, call.Wait())
			require.True(t, retried)
			require.ElementsMatch(t, ids, idsOf(started))
			require.Eventually(t, func() bool { return f.blocked(t) == 0 }, patience, glance)
			require.Equal(t, 10, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'started_executing' AND attempt = 1`))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM starts WHERE cardinality(task_ids) = 10`))
		})
	}
}

// A lease that passed while the reply was lost must not hide what the first
// copy started: the session may yet be renewed, and nobody would run them.
func TestStartAgainAfterTheLeasePassed(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 9), f.session(t)
	f.start(t, session, ids...)
	f.lapse(t, session, time.Second)
	again, _, err := f.Start(t.Context(), session, f.seq.Load(), everyType, ids)
	require.NoError(t, err)
	require.ElementsMatch(t, ids, idsOf(again))
	require.Equal(t, 3, f.count(t, `SELECT count(*) FROM tasks WHERE attempt = 1`))
}

// What a lapsed session was refused stays refused: a late copy of the call
// cannot start it behind the caller's back once the session is renewed.
func TestStartRefusedForALapsedSessionIsFinal(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 3, 9), f.session(t)
	f.lapse(t, session, time.Second)
	started, _, err := f.Start(t.Context(), session, 1, everyType, ids)
	require.NoError(t, err)
	require.Empty(t, started)
	require.NoError(t, f.Renew(t.Context(), session, lease))
	started, _, err = f.Start(t.Context(), session, 1, everyType, ids)
	require.NoError(t, err)
	require.Empty(t, started)
	started, _, err = f.Start(t.Context(), session, 2, everyType, ids)
	require.NoError(t, err)
	require.ElementsMatch(t, ids, idsOf(started))
}

// Two sessions and four lanes want the same tasks, each in its own order.
func TestStartersRaceForTheSameTasks(t *testing.T) {
	t.Parallel()
	f := open(t)
	sessions := []uuid.UUID{f.session(t), f.session(t)}
	for range 25 {
		ids := f.tasks(t, 200, 9)
		var mu sync.Mutex
		winner := map[task.ID]uuid.UUID{}
		var lanes errgroup.Group
		for lane := range 4 {
			session, mine := sessions[lane%2], slices.Clone(ids)
			rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			mine = mine[:150]
			if lane < 2 { // so that every task is wanted
				mine = append(mine, ids[lane*100:(lane+1)*100]...)
			}
			lanes.Go(func() error {
				started, _, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, mine)
				mu.Lock()
				defer mu.Unlock()
				for _, one := range started {
					if _, twice := winner[one.ID]; twice {
						t.Errorf("task %s was started twice", one.ID)
					}
					winner[one.ID] = session
				}
				return err
			})
		}
		require.NoError(t, lanes.Wait())
		require.Len(t, winner, len(ids))
	}
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE attempt <> 1`))
	require.NotContains(t, f.log.String(), "tried again", "no deadlock, so no retry")
}
