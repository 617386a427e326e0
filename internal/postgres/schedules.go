package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/internal/task"
)

const scheduleColumns = `s.name, coalesce(s.cron, ''), coalesce(s.every, '0'), s.time_zone, s.starts_at, s.ends_at, s.jitter,
	s.catch_up, s.overlap, s.paused, s.task_type, s.payload::text, s.max_attempts, s.timeout, s.retry, s.revision, s.created_at, s.updated_at,
	s.made_until, s.next_at, s.skipped_late, s.skipped_overlap, s.skipped_changed, s.last_skipped_at, s.last_skipped_reason,
	s.labels`

func scheduleTargets(s *task.Schedule, payload **string) []any {
	return []any{
		&s.Name, &s.Cron, &s.Every, &s.Zone, &s.StartsAt, &s.EndsAt, &s.Jitter, &s.CatchUp, &s.Overlap, &s.Paused,
		&s.TaskType, payload, &s.MaxAttempts, &s.Timeout,
		retryOf{&s.Retry},
		&s.Revision, &s.CreatedAt, &s.UpdatedAt, &s.MadeUntil, &s.NextAt,
		&s.Skipped.Late, &s.Skipped.Overlap, &s.Skipped.Changed, &s.Skipped.LastAt, &s.Skipped.LastReason,
		(*[]string)(&s.Labels),
	}
}

// putSchedule changes nothing if the schedule is as it shall be already. The type is held
// until the row is there, so it is not deleted meanwhile.
const putSchedule = `
	WITH held AS MATERIALIZED (
		SELECT name FROM types WHERE name = $10 FOR KEY SHARE
	)
	INSERT INTO schedules AS s (name, cron, every, time_zone, starts_at, ends_at, jitter, catch_up, overlap, task_type, payload,
		max_attempts, paused, next_at, timeout, retry, labels)
	SELECT $1, nullif($2, ''), CASE WHEN $2 = '' THEN $3::interval END, $4, $5::timestamptz, $6::timestamptz, $7::interval, $8, $9, held.name, $11::text::json,
	       $12::int, $13::bool, CASE WHEN NOT $13 THEN clock_timestamp() END, $15::interval, $16::text::jsonb, $17::text[]
	FROM held
	WHERE EXISTS (SELECT FROM schedules WHERE name = $1) OR (SELECT count(*) FROM schedules) < $14
	ON CONFLICT (name) DO UPDATE SET
		cron = excluded.cron, every = excluded.every, time_zone = excluded.time_zone, starts_at = excluded.starts_at,
		ends_at = excluded.ends_at, jitter = excluded.jitter, catch_up = excluded.catch_up, overlap = excluded.overlap,
		task_type = excluded.task_type, payload = excluded.payload, max_attempts = excluded.max_attempts,
		timeout = excluded.timeout, retry = excluded.retry, labels = excluded.labels, paused = excluded.paused, next_at = excluded.next_at, revision = s.revision + 1,
		updated_at = clock_timestamp(), made_until = clock_timestamp()
	WHERE (s.cron, s.every, s.time_zone, s.starts_at, s.ends_at, s.jitter, s.catch_up, s.overlap, s.task_type, s.payload::text,
	       s.max_attempts, s.timeout, s.retry, s.paused, s.labels)
	      IS DISTINCT FROM
	      (excluded.cron, excluded.every, excluded.time_zone, excluded.starts_at, excluded.ends_at, excluded.jitter,
	       excluded.catch_up, excluded.overlap, excluded.task_type, excluded.payload::text, excluded.max_attempts, excluded.timeout,
	       excluded.retry, excluded.paused, excluded.labels)
	      AND ($18::text[] IS NULL OR EXISTS (SELECT FROM unnest($18::text[]) p WHERE starts_with(s.task_type, p)))`

// takeBack ends the tasks of a schedule that have not started, if this transaction has changed
// the schedule, or it is gone. It is a statement of its own, after the one that holds the schedule's row, so
// it sees all that was ever made. The key does not go with them: the same instant may be
// made again, while one that a client deleted, or that ran ahead of its time, keeps
// its key, and is not. What was due already is counted.
var takeBack = `
	WITH gone AS (
		DELETE FROM occurrences
		WHERE schedule = $1 AND NOT EXISTS (SELECT FROM schedules WHERE name = $1 AND xmin <> pg_current_xact_id()::xid)
		RETURNING task_id, at
	), ` + endOccurrences + `, missed AS (
		SELECT count(*) AS n, max(gone.at) AS at FROM ended JOIN gone ON gone.task_id = ended.id WHERE ended.due_at <= clock_timestamp()
	), counted AS (
		UPDATE schedules SET skipped_changed = skipped_changed + missed.n, last_skipped_at = missed.at, last_skipped_reason = 'changed'
		FROM missed WHERE name = $1 AND missed.n > 0
	)
	SELECT id, task_type FROM ended`

// endOccurrences ends those of the tasks gone that have not started, as ended.
var endOccurrences = `t AS (
		DELETE FROM tasks_open USING gone WHERE id = gone.task_id AND status = 'submitted' RETURNING tasks_open.*
	), ended AS (
		INSERT INTO tasks_ended (` + strings.ReplaceAll(rowColumns, "t.", "") + `)
		SELECT ` + strings.NewReplacer("t.status", "'deleted'", "t.finished_at", "clock_timestamp()", "t.idempotency_key", "NULL").
	Replace(rowColumns) + ` FROM t
		RETURNING id, task_type, due_at
	)`

// PutSchedule creates a schedule or replaces the one of its name. One that is as it shall be
// stays as it is, with its tasks. Nil means that no task of the schedule as it was starts any
// more: those that had not started were taken back, and are returned. Errors are
// task.ErrUnknownType, task.ErrTooManySchedules, task.ErrUnavailable,
// task.ErrUnknownOutcome and *task.RejectedError.
//
// A schedule whose type begins with none of types is not replaced, and the error is
// task.ErrNameTaken. Nil is all types.
func (db *DB) PutSchedule(
	ctx context.Context, s task.Schedule, types []string,
) (put task.Schedule, created bool, taken []task.Ref, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retry(ctx, "put schedule", func(ctx context.Context) error {
		var changed int64
		var declared, there bool
		var payload *string
		taken, put, there = taken[:0], task.Schedule{}, false
		var batch pgx.Batch
		batch.Queue(putSchedule, s.Name, s.Cron, s.Every, s.Zone, s.StartsAt, s.EndsAt, s.Jitter, s.CatchUp, s.Overlap,
			s.TaskType, textOrNil(s.Payload), s.MaxAttempts, s.Paused, task.MaxSchedules, s.Timeout, retryText(s.Retry), []string(s.Labels),
			types).
			Exec(func(tag pgconn.CommandTag) error { changed = tag.RowsAffected(); return nil })
		batch.Queue(takeBack, s.Name).Query(collectRefs(&taken))
		batch.Queue(`SELECT EXISTS (SELECT FROM types WHERE name = $1)`, s.TaskType).
			QueryRow(func(row pgx.Row) error { return row.Scan(&declared) })
		batch.Queue(`SELECT `+scheduleColumns+` FROM schedules s WHERE name = $1`, s.Name).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, scheduleTargets(&put, &payload), func() error { there = true; return nil })
			return err
		})
		if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		switch {
		case !declared:
			return task.ErrUnknownType
		case !there:
			return task.ErrTooManySchedules
		case !within(types, put.TaskType):
			return task.ErrNameTaken
		}
		put.Payload = raw(payload)
		created = changed == 1 && put.Revision == 1
		return nil
	})
	if refusal, data := isData(err); data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	if err != nil {
		put = task.Schedule{}
	}
	return put, created, taken, err
}

// within reports whether a type begins with one of these, or may be any.
func within(prefixes []string, taskType string) bool {
	return prefixes == nil || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(taskType, p) })
}

func collectRefs(refs *[]task.Ref) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var ref task.Ref
		_, err := pgx.ForEachRow(rows, []any{scanUUID(&ref.ID), &ref.Type}, func() error {
			*refs = append(*refs, ref)
			return nil
		})
		return err
	}
}

// DeleteSchedule removes a schedule and takes back its tasks, see PutSchedule. One whose type
// begins with none of types is not there. The error is
// task.ErrNoSuchSchedule, task.ErrUnavailable or task.ErrUnknownOutcome.
func (db *DB) DeleteSchedule(ctx context.Context, name string, types []string) (taken []task.Ref, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tries := 0
	err = db.retry(ctx, "delete schedule", func(ctx context.Context) error {
		tries++
		var deleted int64
		taken = taken[:0]
		var batch pgx.Batch
		batch.Queue(`DELETE FROM schedules WHERE name = $1 AND `+ofTypes, name, types).
			Exec(func(tag pgconn.CommandTag) error { deleted = tag.RowsAffected(); return nil })
		// If it is put again meanwhile, that waits for this transaction.
		batch.Queue(takeBack, name).Query(collectRefs(&taken))
		if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if deleted == 0 && tries == 1 { // else an earlier try has done so
			return task.ErrNoSuchSchedule
		}
		return nil
	})
	return taken, err
}

// ofTypes is true of a schedule of these types, which are parameter 2.
const ofTypes = `($2::text[] IS NULL OR EXISTS (SELECT FROM unnest($2::text[]) p WHERE starts_with(task_type, p)))`

// GetSchedule reads one. The error is task.ErrNoSuchSchedule or task.ErrUnavailable.
func (db *DB) GetSchedule(ctx context.Context, name string) (task.Schedule, error) {
	all, err := db.readSchedules(ctx, `WHERE name = $1`, name)
	if err == nil && len(all) == 0 {
		err = task.ErrNoSuchSchedule
	}
	if err != nil {
		return task.Schedule{}, err
	}
	return all[0], nil
}

// Schedules reads those after a name whose type begins with one of types, in the order of their
// names.
func (db *DB) Schedules(ctx context.Context, after string, limit int, types []string) ([]task.Schedule, error) {
	return db.readSchedules(ctx, `WHERE name > $1 AND `+ofTypes+` ORDER BY name LIMIT $3`, after, types, limit)
}

func (db *DB) readSchedules(ctx context.Context, where string, args ...any) (all []task.Schedule, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "read schedules", func(ctx context.Context) error {
		all = nil
		rows, err := db.reads.Query(ctx, `SELECT `+scheduleColumns+` FROM schedules s `+where, args...)
		if err != nil {
			return err
		}
		var s task.Schedule
		var payload *string
		_, err = pgx.ForEachRow(rows, scheduleTargets(&s, &payload), func() error {
			s.Payload = raw(payload)
			all = append(all, s)
			return nil
		})
		return err
	})
	return all, err
}
