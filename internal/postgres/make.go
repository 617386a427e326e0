package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// DueSchedules reads schedules that have something to make up to a time, soonest first.
func (db *DB) DueSchedules(ctx context.Context, until time.Time, limit int) (all []task.DueSchedule, err error) {
	err = db.retryRead(ctx, "read due schedules", func(ctx context.Context) error {
		all = nil
		// Of one that overlaps with nothing, the next is made once its latest task has ended.
		rows, err := db.pool.Query(ctx, `
			SELECT `+scheduleColumns+`, coalesce(types.max_attempts, 1), last.finished_at
			FROM schedules s LEFT JOIN types ON types.name = s.task_type
			LEFT JOIN LATERAL (
				SELECT e.finished_at FROM tasks_ended e WHERE s.overlap = 'skip' AND e.id = s.last_task LIMIT 1) last ON true
			WHERE s.next_at <= $1
			      AND NOT (s.overlap = 'skip' AND EXISTS (SELECT FROM tasks_open o WHERE o.id = s.last_task))
			ORDER BY s.next_at, s.name LIMIT $2`, until, limit)
		if err != nil {
			return err
		}
		var s task.DueSchedule
		var payload *string
		_, err = pgx.ForEachRow(rows, append(scheduleTargets(&s.Schedule, &payload), &s.TypeAttempts, &s.EndedAt), func() error {
			s.Payload = raw(payload)
			all = append(all, s)
			return nil
		})
		return err
	})
	return all, err
}

// advanceSchedules takes a step of each schedule that is still as the step was computed at.
// The rows are locked in order, so two nodes that do so wait for each other and
// neither for itself; the second finds another revision and does nothing.
const advanceSchedules = `
	WITH step AS (
		SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[],
			$7::timestamptz[], $8::text[], $9::uuid[])
			AS step (name, revision, made_until, next_at, late, overlap, last_at, reason, last_task)
	), locked AS MATERIALIZED (
		SELECT s.name FROM schedules s JOIN step ON step.name = s.name AND step.revision = s.revision ORDER BY s.name FOR UPDATE OF s
	)
	UPDATE schedules s SET
		revision = s.revision + 1, made_until = step.made_until, next_at = step.next_at,
		skipped_late = s.skipped_late + step.late, skipped_overlap = s.skipped_overlap + step.overlap,
		last_skipped_at = coalesce(step.last_at, s.last_skipped_at),
		last_skipped_reason = CASE WHEN step.last_at IS NULL THEN s.last_skipped_reason ELSE step.reason END,
		last_task = coalesce(step.last_task, s.last_task)
	FROM step JOIN locked ON locked.name = step.name
	WHERE s.name = step.name AND s.revision = step.revision`

// makeOccurrences makes the tasks of the schedules that this transaction has advanced. An
// instant that has a task already, open or ended, is not made again: it ran ahead of its
// time, or a client deleted it.
var makeOccurrences = `
	WITH draft AS (
		SELECT d.* FROM (SELECT * FROM ` + createColumns.unnest() + ` WITH ORDINALITY AS d (` + createColumns.names() + `, n)) d
	), made AS (
		INSERT INTO tasks_open (` + createColumns.names() + `, due_at)
		SELECT ` + createColumns.list(", ", inserted) + `, draft.execution_time
		FROM draft JOIN unnest(%s::text[], %s::timestamptz[], %s::bigint[]) WITH ORDINALITY AS of (schedule, at, revision, n) USING (n)
		JOIN schedules s ON s.name = of.schedule AND s.revision = of.revision + 1 AND s.xmin = pg_current_xact_id()::xid
		WHERE NOT EXISTS (SELECT FROM tasks_ended e WHERE e.idempotency_key = draft.idempotency_key)
		ON CONFLICT DO NOTHING
		RETURNING id, labels
	)` + notedBy("made") + `
	INSERT INTO occurrences (schedule, at, task_id)
	SELECT of.schedule, of.at, made.id
	FROM made JOIN draft ON draft.id = made.id JOIN unnest(%[1]s::text[], %[2]s::timestamptz[]) WITH ORDINALITY AS of (schedule, at, n) USING (n)
	ON CONFLICT (schedule, at) DO UPDATE SET task_id = excluded.task_id`

// MakeOccurrences takes steps of schedules, all in one transaction, and returns the tasks
// that it made. A step of a schedule that was changed since, or that another node took,
// makes nothing.
func (db *DB) MakeOccurrences(ctx context.Context, steps []task.Advance) (made []task.Due, err error) {
	var drafts []task.Draft
	var ids []task.ID
	for i := range steps {
		for j := range steps[i].Made {
			drafts = append(drafts, steps[i].Made[j].Draft)
			ids = append(ids, steps[i].Made[j].Draft.ID)
		}
	}
	err = db.retry(ctx, "make occurrences", func(ctx context.Context) error {
		made = made[:0]
		var batch pgx.Batch
		batch.Queue(advanceSchedules, stepArguments(steps)...)
		if len(drafts) > 0 {
			batch.Queue(makeOccurrencesQuery, append(createColumns.arguments(drafts), occurrenceArguments(steps)...)...)
			names := namesOf(drafts)
			batch.Queue(refuseEnded, names.made(), names.first, names.last, uuids(names.ids), names.keys)
			// What an earlier try made, whose reply was lost, is found here too.
			batch.Queue(`SELECT id, task_type, due_at FROM tasks_open WHERE id = ANY($1) AND status = 'submitted'`, uuids(ids)).
				Query(func(rows pgx.Rows) error {
					var due task.Due
					_, err := pgx.ForEachRow(rows, []any{scanUUID(&due.ID), &due.Type, &due.At}, func() error {
						made = append(made, due)
						return nil
					})
					return err
				})
		}
		err := db.pool.SendBatch(ctx, &batch).Close()
		if isConflict(err) { // it ended in between, and is seen now
			return errVanished
		}
		return err
	})
	return made, err
}

// forgetOccurrences is for tasks that are no longer open: nothing takes them back.
const forgetOccurrences = `
	WITH old AS (
		SELECT schedule, at FROM occurrences o
		WHERE at < clock_timestamp() AND NOT EXISTS (SELECT FROM tasks_open t WHERE t.id = o.task_id)
		ORDER BY at LIMIT $1
	)
	DELETE FROM occurrences o USING old WHERE o.schedule = old.schedule AND o.at = old.at`

// ForgetOccurrences forgets which schedule made tasks that are no longer open.
func (db *DB) ForgetOccurrences(ctx context.Context, limit int) error {
	return db.retry(ctx, "forget occurrences", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, forgetOccurrences, limit)
		return err
	})
}
