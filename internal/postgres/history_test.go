package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

// idMade is an id that was made at a time.
func idMade(at time.Time) task.ID {
	id := uuid.Must(uuid.NewV7())
	ms := at.UnixMilli()
	for i := range 6 {
		id[5-i] = byte(ms >> (8 * i))
	}
	return id
}

// ended seeds tasks of a type and status that finished so long ago.
func (f *fixture) ended(t *testing.T, n int, kind string, status task.Status, ago time.Duration) []task.ID {
	t.Helper()
	batch := drafts(n)
	for i := range batch {
		batch[i].Type, batch[i].ID = kind, idMade(time.Now().Add(-ago-time.Minute))
	}
	ids := f.create(t, batch...)
	f.exec(t, `UPDATE tasks SET status = $2, finished_at = clock_timestamp() - $3::interval WHERE id = ANY($1)`,
		ids, status, ago)
	return ids
}

// part makes a partition of the history from so long ago to so long ago.
func (f *fixture) part(t *testing.T, name string, from, to time.Duration) {
	t.Helper()
	now := time.Now()
	f.exec(t, `CREATE TABLE `+name+` PARTITION OF tasks_ended FOR VALUES FROM ('`+
		now.Add(-from).Format(time.RFC3339)+`') TO ('`+now.Add(-to).Format(time.RFC3339)+`')`)
}

const (
	rest  = `SELECT count(*) FROM tasks_ended_default`
	parts = `SELECT count(*) FROM history_parts`
)

// The partitions follow each other without a gap, from now to two of them ahead.
func TestExtendHistory(t *testing.T) {
	t.Parallel()
	f := open(t)
	for _, keep := range []time.Duration{10 * time.Minute, 168 * time.Hour, 5 * time.Second, 2000 * time.Hour, time.Hour} {
		for range 2 {
			require.NoError(t, f.ExtendHistory(t.Context(), keep))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM history_parts WHERE lower <= now() AND upper > now()`))
			require.Zero(t, f.count(t, `SELECT count(*) FROM
				(SELECT lower, lag(upper) OVER (ORDER BY lower) AS before FROM history_parts) p WHERE lower <> before`))
		}
	}
	require.Positive(t, f.count(t, `SELECT count(*) FROM history_parts WHERE upper - lower = interval '7 days'`))
	f.finish(t, f.session(t), f.startedOne(t), 1, "")
	require.Zero(t, f.count(t, rest))
}

// startedOne is a task that a session has started, whose end will be refused to others.
func (f *fixture) startedOne(t *testing.T) task.ID {
	t.Helper()
	id := f.tasks(t, 1, 1)[0]
	f.start(t, f.session(t), id)
	return id
}

func TestNodesExtendTheHistoryAtOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if err := f.ExtendHistory(t.Context(), time.Hour); err != nil {
				t.Errorf("extend: %v", err)
			}
		})
	}
	all.Wait()
	require.NoError(t, f.ExtendHistory(t.Context(), time.Hour))
	require.LessOrEqual(t, 3, f.count(t, parts))
	require.Equal(t, f.count(t, parts), f.count(t, `SELECT count(DISTINCT lower) FROM history_parts`))
}

// Nobody was there to make a partition in time: what ended is stored, and moves to its
// partition once there is one.
func TestWhatEndedBeforeItsPartition(t *testing.T) {
	t.Parallel()
	f := open(t)
	young := f.ended(t, 3, "foo", task.Done, 0)
	old := f.ended(t, 1, "foo", task.Failed, 72*time.Hour)
	require.Equal(t, 4, f.count(t, rest))
	require.NoError(t, f.ExtendHistory(t.Context(), 168*time.Hour))
	require.Equal(t, 1, f.count(t, rest))
	for _, id := range append(young, old...) {
		require.True(t, f.get(t, id).Status.Terminal())
	}
	require.Equal(t, 4, f.count(t, `SELECT count(*) FROM tasks`))
}

// Whoever reads the history waits while rows move, so no more than a few do.
func TestMuchOfTheRestStays(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO tasks_ended (id, task_type, status, execution_time, due_at, finished_at)
		SELECT gen_random_uuid(), 'foo', 'done', now(), now(), now() FROM generate_series(1, 20001)`)
	require.NoError(t, f.ExtendHistory(t.Context(), 168*time.Hour))
	require.Equal(t, 20001, f.count(t, rest))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM history_parts WHERE lower > now() AND lower < now() + interval '1 day'`))
}

func TestDropEndedDropsWhatIsOldAsAWhole(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.part(t, "oldest", 9*time.Hour, 5*time.Hour)
	f.part(t, "old", 5*time.Hour, 3*time.Hour)
	f.part(t, "mixed", 3*time.Hour, time.Hour)
	gone := append(f.ended(t, 2, "foo", task.Done, 6*time.Hour), f.ended(t, 1, "bar", task.Failed, 4*time.Hour)...)
	kept := append(f.ended(t, 2, "foo", task.Deleted, 170*time.Minute), f.ended(t, 2, "foo", task.Done, 70*time.Minute)...)
	kept = append(kept, f.tasks(t, 2, 1)...)
	f.exec(t, `ANALYZE oldest, old`)
	dropped, err := f.DropEnded(t.Context(), 2*time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 3, dropped)
	require.Zero(t, f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, gone))
	require.Equal(t, len(kept), f.count(t, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, kept))
	require.Equal(t, 1, f.count(t, parts))
}

// A reader of the history, however long, makes retention wait and not fail, and keeps nobody
// else from starting, or from ending.
func TestWhoHoldsTheHistoryHoldsUpRetentionAlone(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.NoError(t, f.ExtendHistory(t.Context(), time.Hour))
	f.part(t, "old", 5*time.Hour, 3*time.Hour)
	commit := f.hold(t, `SELECT count(*) FROM tasks`)
	dropped, err := f.DropEnded(t.Context(), 2*time.Hour)
	require.NoError(t, err)
	require.Zero(t, dropped)
	require.NoError(t, f.ExtendHistory(t.Context(), 2000*time.Hour))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM history_parts WHERE name = 'old'`))
	session, ids := f.session(t), f.tasks(t, 1, 1)
	f.start(t, session, ids...)
	require.Equal(t, task.Done, f.finish(t, session, ids[0], 1, "").Status)
	commit()
	_, err = f.DropEnded(t.Context(), 2*time.Hour)
	require.NoError(t, err)
	require.Zero(t, f.count(t, `SELECT count(*) FROM history_parts WHERE name = 'old'`))
}

// A drop that is under way is not in the way of a create or a start.
func TestStartsDoNotTouchTheHistory(t *testing.T) {
	t.Parallel()
	f := open(t)
	id, session := f.tasks(t, 1, 1)[0], f.session(t)
	commit := f.hold(t, `LOCK TABLE tasks_ended IN ACCESS EXCLUSIVE MODE`)
	f.start(t, session, id)
	_, _, _, err := f.Window(t.Context(), task.Due{}, time.Now(), 10)
	require.NoError(t, err)
	_, err = f.Submitted(t.Context(), []task.ID{id})
	require.NoError(t, err)
	commit()
}

// A partition that appears between the choice of another one and the write to it is found by
// the next try.
func TestEndMeetsANewPartition(t *testing.T) {
	t.Parallel()
	f := open(t)
	session := f.session(t)
	ids := f.tasks(t, 1, 1)
	f.start(t, session, ids...)
	// The rest is locked, as it is while a partition is made.
	tx, err := f.sql.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE tasks_ended_default IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	ended := make(chan task.Finished, 1)
	go func() {
		answers, err := f.Finish(t.Context(), session, []task.Finish{{ID: ids[0], Attempt: 1}}, task.Closed{}, true)
		if err != nil {
			t.Errorf("finish: %v", err)
			answers = make([]task.Finished, 1)
		}
		ended <- answers[0]
	}()
	f.awaitBlocked(t, 1)
	_, err = tx.Exec(t.Context(), `SELECT extend_history('1 hour')`)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, task.Done, (<-ended).Status)
	require.Zero(t, f.count(t, rest))
}

// A look at the history asks a bounded number of partitions, whatever the retention, and tasks
// stay for no more than a quarter longer, or ten seconds.
func TestPartitionsAreBounded(t *testing.T) {
	t.Parallel()
	for keep := time.Minute; keep < 1000*24*time.Hour; keep += keep/16 + time.Second {
		width := postgres.PartitionWidth(keep)
		require.LessOrEqual(t, keep/width, time.Duration(36), keep)
		require.LessOrEqual(t, width, max(keep/4, 10*time.Second), keep)
	}
}

// Some hundred partitions are asked for an id and for a key, by their indexes alone.
func TestManyPartitions(t *testing.T) {
	t.Parallel()
	const many = 400
	f := open(t)
	f.exec(t, `DO $$ BEGIN
		FOR i IN 0..399 LOOP
			EXECUTE format('CREATE TABLE part_%s (LIKE tasks_ended_default INCLUDING ALL)', i);
			EXECUTE format('ALTER TABLE tasks_ended ATTACH PARTITION part_%s FOR VALUES FROM (%L) TO (%L)', i,
				now() + interval '1 h' - make_interval(days => i + 1), now() + interval '1 h' - make_interval(days => i));
		END LOOP;
	END $$`)
	d := draft()
	d.Key = "key"
	id := f.create(t, d)[0]
	f.run(t, id)
	db, notes := f.recorded(t)
	require.Equal(t, task.Done, must(db.Get(t.Context(), id))(t).Status)
	root := explain(t, db, notes.all[0], "force_generic_plan")
	require.LessOrEqual(t, root.buffers(), 4*many)
	root.each(func(node *plan) { require.False(t, astray(node, false), "%s", root) })
	again := draft()
	again.Key, again.ExecutionTime = d.Key, d.ExecutionTime
	require.Equal(t, []task.ID{id}, f.create(t, again))
	f.createdOnce(t, id)
}
