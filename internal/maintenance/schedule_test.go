package maintenance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
)

func every(period time.Duration) task.Schedule {
	return task.Schedule{
		Name: "tick", Every: period, Zone: "UTC", CatchUp: task.CatchUpAll, Overlap: task.OverlapAllow, TaskType: "foo",
		Payload: []byte(`{"n": 12345678901234567890.10}`),
	}
}

func put(t *testing.T, db *postgres.DB, s task.Schedule) (task.Schedule, []task.Ref) {
	t.Helper()
	stored, _, taken, err := db.PutSchedule(t.Context(), s, nil)
	require.NoError(t, err)
	return stored, taken
}

// ids are the submitted tasks, by their time.
func (f *fixture) ids(t *testing.T) (all []string) {
	t.Helper()
	return f.idsWhere(t, "true")
}

func (f *fixture) idsWhere(t *testing.T, where string) (all []string) {
	t.Helper()
	require.NoError(t, f.sql.QueryRow(t.Context(),
		`SELECT coalesce(array_agg(id::text ORDER BY due_at, id), '{}') FROM tasks_open WHERE status = 'submitted' AND `+where).Scan(&all))
	return all
}

const submitted = `status = 'submitted'`

// Every instant within the horizon is one task, whoever makes it; a schedule that is put
// as it is keeps its tasks.
func TestOccurrencesAreMadeOnceAndAheadOfTime(t *testing.T) {
	t.Parallel()
	f := open(t)
	s, _ := put(t, f.db, every(time.Minute))
	var group errgroup.Group
	for range 4 {
		m := f.maintainer(nil)
		group.Go(func() error { return m.MakeOnce(t.Context()) })
	}
	require.NoError(t, group.Wait())
	made := f.ids(t)
	require.Len(t, made, 61) // an hour, and the minute beyond it
	require.Equal(t, 61, f.count(t, submitted+` AND idempotency_key LIKE 'schedule/tick/%' AND payload::text = '{"n": 12345678901234567890.10}'`))
	require.Len(t, f.indexed(t), f.count(t, submitted+` AND due_at <= clock_timestamp() + interval '1 hour'`))

	again, taken := put(t, f.db, every(time.Minute))
	require.Empty(t, taken)
	require.Equal(t, s.UpdatedAt, again.UpdatedAt)
	require.NoError(t, f.maintainer(nil).MakeOnce(t.Context()))
	require.Equal(t, made, f.ids(t))
}

// After the answer to a change, a pause or a delete, no task of the schedule as it was is
// left that has not started, also if a node is making some at that moment. What is made
// again has the same instants.
func TestAChangeTakesBackWhatHasNotStarted(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.maintainer(nil)
	for round := range 20 {
		s := every(time.Minute)
		put(t, f.db, s)
		var group errgroup.Group
		group.Go(func() error { return m.MakeOnce(t.Context()) })
		if round%2 == 0 {
			require.NoError(t, group.Wait())
			require.Equal(t, 61, f.count(t, submitted))
		}
		if round%4 == 3 {
			_, err := f.db.DeleteSchedule(t.Context(), "tick", nil)
			require.NoError(t, err)
		} else {
			s.Paused = true
			put(t, f.db, s)
		}
		require.NoError(t, group.Wait())
		require.Zero(t, f.count(t, submitted))
	}
	require.Positive(t, f.count(t, `status = 'deleted'`))
	_, err := f.db.DeleteSchedule(t.Context(), "none", nil)
	require.ErrorIs(t, err, task.ErrNoSuchSchedule)
}

// What a client has deleted, and what ran ahead of its time, is not made again by a change.
func TestAnInstantThatHasEndedIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	start := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	s := every(time.Minute)
	s.StartsAt = &start
	m := f.maintainer(nil)
	put(t, f.db, s)
	require.NoError(t, m.MakeOnce(t.Context()))
	made := parse(t, f.ids(t))
	_, err := f.db.Delete(t.Context(), made[0])
	require.NoError(t, err)
	f.exec(t, `UPDATE tasks_open SET due_at = clock_timestamp() WHERE id = $1`, made[1])
	f.session(t, made[1])

	s.Jitter = time.Microsecond * 10
	_, taken := put(t, f.db, s)
	require.Len(t, taken, len(made)-2)
	require.NoError(t, m.MakeOnce(t.Context()))
	require.Equal(t, len(made)-2, f.count(t, submitted))
	require.Zero(t, f.count(t, submitted+fmt.Sprintf(` AND due_at < '%s'`, start.Add(2*time.Minute).Format(time.RFC3339))))
}

// An occurrence that was run ahead of its time starts then, and neither its own planning nor a
// change of the schedule brings it back.
func TestAnOccurrenceThatIsRunNowIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	f := open(t)
	start := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	s := every(time.Minute)
	s.StartsAt, s.CatchUp = &start, task.CatchUpNone
	m := f.maintainer(nil)
	put(t, f.db, s)
	require.NoError(t, m.MakeOnce(t.Context()))
	made := f.ids(t)
	first := parse(t, made)[0]
	read, err := f.db.Get(t.Context(), first)
	require.NoError(t, err)
	_, _, err = f.db.Change(t.Context(), read, task.Change{Now: true})
	require.NoError(t, err)
	require.NoError(t, m.MakeOnce(t.Context()))
	require.Equal(t, made, f.ids(t), "it is not put back to its time")
	f.session(t, first)
	require.NoError(t, m.MakeOnce(t.Context()))
	require.Equal(t, made[1:], f.ids(t))

	s.Jitter = time.Microsecond * 10
	put(t, f.db, s)
	require.NoError(t, m.MakeOnce(t.Context()))
	require.Len(t, f.ids(t), len(made)-1)
	require.Zero(t, f.count(t, submitted+fmt.Sprintf(` AND due_at < '%s'`, start.Add(time.Minute).Format(time.RFC3339))))
}

// Many schedules that fall due together are made some hundreds at a time.
func TestManySchedulesOnOneMinute(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `INSERT INTO schedules (name, cron, time_zone, jitter, catch_up, overlap, paused, task_type, next_at)
		SELECT 's' || n, $1, 'Europe/Paris', '0', 'all', 'allow', false, 'foo', clock_timestamp() FROM generate_series(1, 10000) n`,
		time.Now().Add(soon).UTC().Format("4")+" * * * *")
	require.NoError(t, f.maintainer(nil).MakeOnce(t.Context()))
	require.Equal(t, 10_000, f.count(t, `true`))
}

// A type that a schedule names is not deleted.
func TestATypeOfAScheduleStays(t *testing.T) {
	t.Parallel()
	f := open(t)
	_, _, err := f.db.PutType(t.Context(), task.Type{Name: "mine", Handler: task.Lease, MaxAttempts: 1})
	require.NoError(t, err)
	s := every(2 * time.Hour)
	s.TaskType = "mine"
	put(t, f.db, s)
	require.ErrorIs(t, f.db.DeleteType(t.Context(), "mine"), task.ErrTypeInUse)
	_, err = f.db.DeleteSchedule(t.Context(), "tick", nil)
	require.NoError(t, err)
	require.NoError(t, f.db.DeleteType(t.Context(), "mine"))
	_, _, _, err = f.db.PutSchedule(t.Context(), s, nil)
	require.ErrorIs(t, err, task.ErrUnknownType)
}

// Three hours in which nobody started or made anything: what was made before does not start once
// it is too late, as catch_up says, and is counted; and what was not made is made up for.
func TestLateTasksAreCaughtUp(t *testing.T) {
	t.Parallel()
	const all = 61 + 118 // at least, of an hour ahead and of what came after it
	for catchUp, startable := range map[task.CatchUp][2]int{
		task.CatchUpNone: {0, 1}, task.CatchUpLast: {1, 1}, task.CatchUpAll: {all, all + 2}, // the newest may not be late
	} {
		f := open(t)
		s := every(time.Minute)
		s.CatchUp = catchUp
		put(t, f.db, s)
		m := f.maintainer(nil)
		require.NoError(t, m.MakeOnce(t.Context()))
		f.exec(t, `UPDATE tasks_open SET due_at = due_at - interval '3 hours', execution_time = execution_time - interval '3 hours',
			skip_after = skip_after - interval '3 hours'`)
		f.exec(t, `UPDATE occurrences SET at = at - interval '3 hours'`)
		f.exec(t, `UPDATE schedules SET created_at = created_at - interval '4 hours',
			made_until = made_until - interval '3 hours', next_at = next_at - interval '3 hours'`)
		require.NoError(t, m.MakeOnce(t.Context()))
		due := parse(t, f.idsWhere(t, `due_at <= clock_timestamp()`))
		session := f.session(t)
		started, _, err := f.db.Start(t.Context(), session, 2, []string{"foo"}, due)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(started), startable[0], catchUp)
		require.LessOrEqual(t, len(started), startable[1], catchUp)
		waiting, err := f.db.Refused(t.Context(), due)
		require.NoError(t, err)
		require.Empty(t, waiting)
		stored, err := f.db.GetSchedule(t.Context(), "tick")
		require.NoError(t, err)
		require.GreaterOrEqual(t, int(stored.Skipped.Late), all-startable[1], catchUp)
		if catchUp == task.CatchUpAll {
			require.Zero(t, stored.Skipped.Late)
		}
	}
}

// Three hours of downtime, before anything was made.
func TestAStepCatchesUp(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 12, 0, 30, 0, time.UTC)
	for _, test := range []struct {
		catchUp           task.CatchUp
		overlap           task.Overlap
		ended             time.Duration // before now
		late, overlapping int64
		first             time.Duration // before now
		made              int
	}{
		// Of 09:10 to 12:00 the last is not late, and an hour is ahead.
		{task.CatchUpAll, task.OverlapAllow, 0, 0, 0, 2*time.Hour + 50*time.Minute + 30*time.Second, 24},
		{task.CatchUpLast, task.OverlapAllow, 0, 16, 0, 10*time.Minute + 30*time.Second, 8},
		{task.CatchUpNone, task.OverlapAllow, 0, 17, 0, 30 * time.Second, 7},
		{task.CatchUpNone, task.OverlapSkip, time.Hour, 5, 12, 30 * time.Second, 1},
	} {
		s := task.DueSchedule{Schedule: every(10 * time.Minute)}
		s.CreatedAt = time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
		s.CatchUp, s.Overlap, s.MadeUntil = test.catchUp, test.overlap, now.Add(-3*time.Hour)
		if test.ended > 0 {
			ended := now.Add(-test.ended)
			s.EndedAt = &ended
		}
		step, err := maintenance.Step(&s, now, now.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, test.late, step.Late, test)
		require.Equal(t, test.overlapping, step.Overlap, test)
		require.Len(t, step.Made, test.made, test)
		require.Equal(t, now.Add(-test.first), step.Made[0].At)
	}
}

// Of a schedule that overlaps with nothing, one task is open at a time.
func TestOverlapIsSkipped(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := every(10 * time.Minute)
	s.CatchUp, s.Overlap = task.CatchUpLast, task.OverlapSkip
	put(t, f.db, s)
	m := f.maintainer(nil)
	for range 3 {
		require.NoError(t, m.MakeOnce(t.Context()))
		require.Len(t, f.ids(t), 1)
	}
	first := parse(t, f.ids(t))[0]
	_, err := f.db.Delete(t.Context(), first)
	require.NoError(t, err)
	require.NoError(t, m.MakeOnce(t.Context()))
	require.Len(t, f.ids(t), 1)
	require.NotEqual(t, first, parse(t, f.ids(t))[0])
}

// What a schedule makes has its labels, and other labels make other tasks.
func TestOccurrencesHaveTheLabelsOfTheirSchedule(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := every(time.Minute)
	for _, labels := range []task.Labels{{"a:1", "b:1"}, {"a:2"}, nil} {
		s.Labels = labels
		put(t, f.db, s)
		stored, err := f.db.GetSchedule(t.Context(), "tick")
		require.NoError(t, err)
		require.Equal(t, labels, stored.Labels)
		require.NoError(t, f.maintainer(nil).MakeOnce(t.Context()))
		require.NotZero(t, f.count(t, submitted))
		for _, id := range f.ids(t) {
			made, err := f.db.Get(t.Context(), uuid.MustParse(id))
			require.NoError(t, err)
			require.Equal(t, labels, made.Labels)
		}
		for _, label := range labels {
			page, err := f.db.List(t.Context(), task.Filter{Labels: task.Labels{label}, Status: task.Submitted, Limit: 100})
			require.NoError(t, err)
			require.Len(t, page.Tasks, f.count(t, submitted))
		}
	}
}
