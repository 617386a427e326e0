package postgres_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
)

// limited gives the type zz a max_running.
func (f *fixture) limited(t *testing.T, n int) {
	t.Helper()
	f.put(t, task.Type{Name: "zz", Handler: task.Lease, MaxRunning: &n})
}

// dueOf makes n tasks of the type zz that are due.
func (f *fixture) dueOf(t *testing.T, n int) []task.ID {
	t.Helper()
	ids := f.tasks(t, n, 1)
	f.exec(t, `UPDATE tasks SET task_type = 'zz', due_at = now() - interval '1 s' WHERE id = ANY($1)`, ids)
	return ids
}

func (f *fixture) room(t *testing.T) int {
	t.Helper()
	rooms, err := f.Rooms(t.Context())
	require.NoError(t, err)
	return rooms["zz"]
}

// Sessions that start and end at random never have more running than may be, by what
// each of their commits leaves behind; and the width is in use again after all of that.
func TestMaxRunningIsNeverExceeded(t *testing.T) {
	t.Parallel()
	const most = 3
	f := open(t)
	f.limited(t, most)
	f.exec(t, `CREATE TABLE seen (n int)`)
	f.exec(t, `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_advisory_xact_lock(1);
		INSERT INTO seen SELECT count(*) FROM tasks WHERE task_type = 'zz' AND status = 'started_executing';
		RETURN NULL; END $$`)
	f.exec(t, `CREATE CONSTRAINT TRIGGER look AFTER UPDATE ON tasks DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION look()`)
	ids := f.dueOf(t, 300)
	var working sync.WaitGroup
	for range 4 {
		session := f.session(t)
		db := f.connect(t, f.url)
		working.Go(func() {
			for f.count(t, `SELECT count(*) FROM tasks WHERE status = 'submitted'`) > 0 {
				started, _, _, err := db.StartCounted(t.Context(), session, f.seq.Add(1), "zz", ids)
				if err != nil {
					t.Errorf("start: %v", err)
					return
				}
				var ends []task.Finish
				for _, s := range started {
					ends = append(ends, task.Finish{ID: s.ID, Attempt: s.Attempt, Counted: true})
				}
				if _, err := db.Finish(t.Context(), session, ends, task.Closed{}, true); err != nil {
					t.Errorf("finish: %v", err)
					return
				}
			}
		})
	}
	working.Wait()
	require.LessOrEqual(t, f.count(t, `SELECT max(n) FROM seen`), most)
	require.Equal(t, 300, f.count(t, `SELECT count(*) FROM tasks WHERE status = 'done'`))
	require.Equal(t, most, f.room(t))
}

func TestPlacesOfTheDeadAreGivenBackWhenTheyAreReaped(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.limited(t, 3)
	ids := f.dueOf(t, 5)
	session := f.session(t)
	started, full, _, err := f.StartCounted(t.Context(), session, 1, "zz", ids)
	require.NoError(t, err)
	require.True(t, full)
	require.Equal(t, ids[:3], idsOf(started), "those that are due for longest")
	again, full, _, err := f.StartCounted(t.Context(), session, 1, "zz", ids)
	require.NoError(t, err)
	require.Equal(t, idsOf(started), idsOf(again), "the same call is the same start")
	_ = full
	none, full, _, err := f.StartCounted(t.Context(), f.session(t), 1, "zz", ids)
	require.NoError(t, err)
	require.True(t, full)
	require.Empty(t, none)

	end := task.Finish{ID: ids[0], Attempt: 1, Counted: true}
	for range 2 { // the second reply is that of the first
		_, err = f.Finish(t.Context(), session, []task.Finish{end}, task.Closed{}, true)
		require.NoError(t, err)
		require.Equal(t, 1, f.room(t))
	}
	f.lapse(t, session, time.Hour)
	f.reap(t, f.connect(t, f.url))
	require.Equal(t, 3, f.room(t))
}

// A limit that comes later counts what runs already, and one that goes and comes back
// counts all of it once.
func TestALimitCountsWhatRanBefore(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	ids := f.dueOf(t, 10)
	started := f.start(t, session, ids[:2]...)
	require.Len(t, started, 2)
	f.limited(t, 3)
	require.Equal(t, 1, f.room(t))
	refused, _, err := f.Start(t.Context(), session, f.seq.Add(1), everyType, ids[2:])
	require.NoError(t, err)
	require.Empty(t, refused, "a start that does not count starts nothing of it")
	counted, full, _, err := f.StartCounted(t.Context(), session, f.seq.Add(1), "zz", ids[2:])
	require.NoError(t, err)
	require.True(t, full)
	require.Len(t, counted, 1)

	f.put(t, task.Type{Name: "zz", Handler: task.Lease})
	require.Len(t, f.start(t, session, ids[3]), 1)
	f.limited(t, 6)
	require.Equal(t, 2, f.room(t))
	f.finish(t, session, ids[0], 1, "")
	require.Equal(t, 3, f.room(t))
	f.limited(t, 1)
	require.Equal(t, -2, f.room(t), "lowered, it stops nothing")
	_, full, _, err = f.StartCounted(t.Context(), session, f.seq.Add(1), "zz", ids[4:])
	require.NoError(t, err)
	require.True(t, full)
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM uncounted`), "what has ended is forgotten")
}

func TestACountedStartIsGuardedAsEveryOther(t *testing.T) {
	t.Parallel()
	f := open(t)
	n := 5
	f.put(t, task.Type{Name: "zz", Handler: task.Lease, MaxRunning: &n, Paused: true})
	session := f.session(t)
	ids := f.dueOf(t, 3)
	start := func() int {
		started, _, _, err := f.StartCounted(t.Context(), session, f.seq.Add(1), "zz", ids)
		require.NoError(t, err)
		return len(started)
	}
	require.Zero(t, start(), "it is paused")
	f.limited(t, n)
	f.exec(t, `UPDATE tasks SET due_at = now() + interval '1 h' WHERE id = $1`, ids[0])
	f.exec(t, `UPDATE tasks SET task_type = 'foo' WHERE id = $1`, ids[1])
	require.Equal(t, 1, start())
	f.lapse(t, session, time.Second)
	f.exec(t, `UPDATE tasks SET due_at = now() - interval '1 s' WHERE id = $1`, ids[0])
	require.Zero(t, start(), "its lease is over")
}

// A task whose row somebody has locked holds up neither its neighbours nor the type.
func TestACountedStartPassesByALockedRow(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.limited(t, 3)
	ids := f.dueOf(t, 5)
	release := f.hold(t, `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, ids[0])
	started, full, _, err := f.StartCounted(t.Context(), f.session(t), 1, "zz", ids)
	require.NoError(t, err)
	require.True(t, full)
	require.Equal(t, ids[1:4], idsOf(started))
	release()
}
