package postgres_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/task"
)

// in is a time that far ahead, and what moves a task there.
func in(d time.Duration) (time.Time, task.Change) {
	at := task.Ceil(time.Now().UTC().Add(d))
	return at, task.Change{ExecutionTime: &at}
}

func TestChange(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.Payload = json.RawMessage(`{ "n" : 1.10 }`)
	read := f.get(t, f.create(t, d)[0])
	at, move := in(time.Hour)
	moved, delay, err := f.Change(t.Context(), read, move)
	require.NoError(t, err)
	require.InDelta(t, time.Hour, delay, float64(time.Minute))
	require.Equal(t, f.get(t, read.ID), moved)
	want := *read
	want.ExecutionTime, want.DueAt, want.Changes = at, at, 1
	require.Equal(t, &want, moved, "the payload is as it came")

	payload := json.RawMessage(`{ "m":2.50 }`)
	changed, _, err := f.Change(t.Context(), moved, task.Change{Payload: payload, SetPayload: true, MaxAttempts: 3})
	require.NoError(t, err)
	want.Payload, want.MaxAttempts, want.Changes = payload, 3, 2
	require.Equal(t, &want, changed)
	bare, _, err := f.Change(t.Context(), changed, task.Change{SetPayload: true})
	require.NoError(t, err)
	require.Nil(t, bare.Payload)
	require.Empty(t, issue(t, f.DB, f.session(t), 1, []task.ID{read.ID}), "it is not due any more")
}

// What is due now can be started at once, also if it waits for another attempt. That is none.
func TestChangeToNow(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.ExecutionTime, d.MaxAttempts = d.ExecutionTime.Add(time.Hour), 2
	id := f.create(t, d)[0]
	session := f.session(t)
	for attempt := range 2 {
		read := f.get(t, id)
		require.Equal(t, attempt, read.Attempt)
		require.Empty(t, issue(t, f.DB, session, f.seq.Add(1), []task.ID{id}))
		for range 2 { // once more is no harm
			moved, delay, err := f.Change(t.Context(), f.get(t, id), task.Change{Now: true})
			require.NoError(t, err)
			require.LessOrEqual(t, delay, time.Duration(0))
			require.Equal(t, moved.ExecutionTime, moved.DueAt)
			require.Equal(t, attempt, moved.Attempt)
		}
		started := f.start(t, session, id)
		late, _ := started[0].Lateness()
		require.Less(t, late, patience, "lateness counts from now")
		require.NotEmpty(t, f.finish(t, session, id, attempt+1, task.HandlerError).Status)
	}
	require.Equal(t, task.Failed, f.get(t, id).Status)
}

// Of two that have read the same, one changes it.
func TestChangeOfATaskThatIsNotAsItWasRead(t *testing.T) {
	t.Parallel()
	f := open(t)
	id := f.tasks(t, 1, 2)[0]
	read := f.get(t, id)
	_, move := in(time.Hour)
	refused := func() {
		t.Helper()
		before := f.get(t, id)
		_, _, err := f.Change(t.Context(), read, move)
		require.ErrorIs(t, err, task.ErrChanged)
		require.Equal(t, before, f.get(t, id))
	}
	_, _, err := f.Change(t.Context(), read, task.Change{MaxAttempts: 3})
	require.NoError(t, err)
	refused()
	read = f.get(t, id)
	session := f.session(t)
	f.start(t, session, id)
	refused()
	require.Equal(t, task.Submitted, f.finish(t, session, id, 1, task.HandlerError).Status)
	refused() // it waits for another attempt
	read = f.get(t, id)
	require.NoError(t, f.Delete(t.Context(), id))
	refused()
	require.EqualValues(t, 1, f.get(t, id).Changes, "the history has all columns")
	read.ID = uuid.New()
	_, _, err = f.Change(t.Context(), read, move)
	require.ErrorIs(t, err, task.ErrChanged)
}

func TestChangeWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	f := open(t)
	through, url := newProxy(t, f.url)
	db := f.connect(t, url)
	read := f.get(t, f.tasks(t, 1, 1)[0])
	at, move := in(time.Hour)
	through.loseReply("UPDATE")
	moved, _, err := db.Change(t.Context(), read, move)
	require.NoError(t, err)
	require.Equal(t, 1, through.losses())
	require.True(t, at.Equal(moved.DueAt))
	require.EqualValues(t, 1, moved.Changes)

	// A copy of the statement arrives when the task has been moved on.
	_, further := in(2 * time.Hour)
	_, _, err = f.Change(t.Context(), moved, further)
	require.NoError(t, err)
	_, _, err = f.Change(t.Context(), read, move)
	require.ErrorIs(t, err, task.ErrChanged)
	require.True(t, further.ExecutionTime.Equal(f.get(t, read.ID).DueAt))
}

// A start that waits for a move compares the time that the move has left.
func TestAStartThatWaitsForAMoveIsRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids, session := f.tasks(t, 2, 1), f.session(t)
	commit := f.hold(t, `UPDATE tasks_open SET due_at = due_at + interval '1 day', changes = 1 WHERE id = $1`, ids[0])
	var started []task.Task
	var starter errgroup.Group
	starter.Go(func() (err error) {
		started, _, err = f.Start(t.Context(), session, 1, everyType, ids)
		return err
	})
	f.awaitBlocked(t, 1)
	commit()
	require.NoError(t, starter.Wait())
	require.Equal(t, ids[1:], idsOf(started))
}

// Movers and starters meet on the same tasks: a move that was granted is never followed by a start
// at the old time, and a task whose move was refused has started once.
func TestMoversRaceWithStarters(t *testing.T) {
	t.Parallel()
	f := open(t)
	ids := f.tasks(t, 200, 1)
	var mu sync.Mutex
	moved, started := map[task.ID]bool{}, map[task.ID]int{}
	var all errgroup.Group
	for range 3 {
		session := f.session(t)
		order := rand.Perm(len(ids))
		all.Go(func() error {
			for n, i := range order {
				tasks, _, err := f.Start(t.Context(), session, int64(n), everyType, []task.ID{ids[i]})
				if err != nil {
					return err
				}
				mu.Lock()
				for _, s := range tasks {
					started[s.ID]++
				}
				mu.Unlock()
			}
			return nil
		})
		all.Go(func() error {
			for _, i := range rand.Perm(len(ids)) {
				read, err := f.Get(t.Context(), ids[i])
				if err != nil {
					return err
				}
				if read.Status != task.Submitted {
					continue
				}
				_, move := in(time.Hour)
				_, _, err = f.Change(t.Context(), read, move)
				if errors.Is(err, task.ErrChanged) {
					continue
				}
				if err != nil {
					return err
				}
				mu.Lock()
				moved[ids[i]] = true
				mu.Unlock()
			}
			return nil
		})
	}
	require.NoError(t, all.Wait())
	for _, id := range ids {
		want := 1
		if moved[id] {
			want = 0
		}
		require.Equal(t, want, started[id])
	}
}

// A create that is repeated under its key names its task, whatever that has become.
func TestTheKeyOfAChangedTask(t *testing.T) {
	t.Parallel()
	f := open(t)
	d := draft()
	d.Key, d.Payload = "order-42", json.RawMessage(`{"a":1}`)
	id := f.create(t, d)[0]
	at, move := in(time.Hour)
	move.SetPayload, move.MaxAttempts = true, 5
	_, _, err := f.Change(t.Context(), f.get(t, id), move)
	require.NoError(t, err)
	d.ID = uuid.Must(uuid.NewV7())
	again := f.Create(t.Context(), []task.Draft{d})[0]
	require.NoError(t, again.Err)
	require.Equal(t, id, again.ID)
	require.True(t, at.Equal(again.DueAt), "it is indexed when it is due now")
	d.Type = "bar"
	require.ErrorIs(t, f.Create(t.Context(), []task.Draft{d})[0].Err, task.ErrKeyReused)
}
