package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/internal/task"
)

// A task t may start up to the time startBefore, if that is not NULL. The statement has the
// types as held. Most types have no expires_in, which is looked at once a statement.
const (
	startBefore = `coalesce(t.not_after, CASE WHEN (SELECT count(expires_in) > 0 FROM held)
				THEN t.execution_time + (SELECT expires_in FROM held WHERE name = t.task_type) END)`

	// inTime is that the task is neither expired nor, as an occurrence of a schedule that has
	// not been attempted, skipped.
	inTime = `coalesce(clock_timestamp() <= ` + startBefore + `, true)
			      AND (t.skip_after IS NULL OR t.attempt > 0 OR clock_timestamp() <= t.skip_after)`
)

// expireLate ends those of the tasks chosen that are still late (T9). A start that is under way
// holds the row, which is passed by. The row is deleted and inserted for the reason that
// deleteOne gives. An occurrence that is skipped ends as deleted, and its schedule counts
// it.
var expireLate = `
	), late AS MATERIALIZED (
		SELECT id FROM tasks_open t WHERE id = ANY(ARRAY(SELECT id FROM chosen)) AND status = 'submitted' AND NOT (` + inTime + `)
		ORDER BY id FOR UPDATE SKIP LOCKED
	), t AS (
		DELETE FROM tasks_open t USING late WHERE t.id = late.id AND status = 'submitted' AND NOT (` + inTime + `)
		RETURNING t.*, coalesce(t.attempt = 0 AND clock_timestamp() > t.skip_after, false) AS skipped
	), expired AS (
		INSERT INTO tasks_ended (` + strings.ReplaceAll(rowColumns, "t.", "") + `)
		SELECT ` + strings.NewReplacer(
	"t.status", `CASE WHEN skipped THEN 'deleted' ELSE 'failed' END`, "t.finished_at", "clock_timestamp()",
	"t.failure_code", `CASE WHEN skipped THEN t.failure_code ELSE 'expired' END`,
	"t.failure_message", `CASE WHEN skipped THEN t.failure_message ELSE 'it had not started by the time after which it must not' END`,
).Replace(rowColumns) + ` FROM t
		RETURNING id, task_type
	), gone AS (
		DELETE FROM occurrences o USING t
		WHERE t.skipped AND o.schedule = split_part(t.idempotency_key, '/', 2) AND o.task_id = t.id
		RETURNING o.schedule, o.at
	), counted AS (
		UPDATE schedules s SET skipped_late = skipped_late + n, last_skipped_at = skipped.at, last_skipped_reason = 'late'
		FROM (SELECT schedule, count(*) AS n, max(at) AS at FROM gone GROUP BY schedule) skipped
		WHERE s.name = skipped.schedule
	)`

const heldTypesOfTasks = `
	WITH held AS MATERIALIZED (
		SELECT name, expires_in FROM types WHERE expires_in IS NOT NULL
	)`

var expireRefused = heldTypesOfTasks + `, chosen AS (SELECT unnest($1::uuid[]) AS id` + expireLate + `
	SELECT id, task_type FROM expired`

// Refused says what to do with tasks that were not let start. Those that are too late are ended
// (T9). It returns those that still have to run, and says when by Postgres' clock. The others
// have started, ended or never were.
func (db *DB) Refused(ctx context.Context, ids []task.ID) (waiting []task.DueIn, err error) {
	err = db.retry(ctx, "look up and expire refused tasks", func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(expireRefused, uuids(ids)).Exec(func(pgconn.CommandTag) error { return nil })
		batch.Queue(submittedOf, uuids(ids)).Query(collectWaiting(&waiting))
		return db.pool.SendBatch(ctx, &batch).Close()
	})
	return waiting, err
}

// Submitted picks those of ids that still have to run, and says when by
// Postgres' clock. The others have started, ended or never were.
func (db *DB) Submitted(ctx context.Context, ids []task.ID) (waiting []task.DueIn, err error) {
	err = db.retryRead(ctx, "look up refused tasks", func(ctx context.Context) error {
		rows, err := db.pool.Query(ctx, submittedOf, uuids(ids))
		if err != nil {
			return err
		}
		return collectWaiting(&waiting)(rows)
	})
	return waiting, err
}

const submittedOf = `
	SELECT id, task_type, due_at, clock_timestamp() FROM tasks_open WHERE id = ANY($1) AND status = 'submitted'`

func collectWaiting(waiting *[]task.DueIn) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w task.DueIn, err error) {
			var due, now time.Time
			err = row.Scan(scanUUID(&w.ID), &w.Type, &due, &now)
			w.Delay = due.Sub(now)
			return w, err
		})
		return err
	}
}

// What has a bound of its own is in an index by that bound. What runs past it is passed over, and
// so is an occurrence that waits for another attempt: it would stand before all others.
var expireBounded = heldTypesOfTasks + `, chosen AS MATERIALIZED (
		SELECT id FROM tasks_open
		WHERE (not_after IS NOT NULL OR skip_after IS NOT NULL) AND least(not_after, skip_after) < statement_timestamp()
		      AND status = 'submitted' AND (attempt = 0 OR not_after < statement_timestamp())
		ORDER BY least(not_after, skip_after) LIMIT $1` + expireLate + `
	SELECT id, task_type FROM expired`

// Expire ends tasks whose own bound has passed (T9), at most limit, and returns them, and
// whether there may be more.
func (db *DB) Expire(ctx context.Context, limit int) (expired []task.Ref, more bool, err error) {
	err = db.retry(ctx, "expire tasks", func(ctx context.Context) error {
		expired = expired[:0]
		rows, err := db.pool.Query(ctx, expireBounded, limit)
		if err != nil {
			return err
		}
		return collectRefs(&expired)(rows)
	})
	return expired, len(expired) == limit, err
}

// The bound of a type is in no index: all that is overdue is looked at, page by page, if any
// type has one.
var expireOverdue = heldTypesOfTasks + `, page AS MATERIALIZED (
		SELECT due_at, id FROM tasks_open
		WHERE (due_at, id) > ($1, $2) AND due_at < statement_timestamp() AND EXISTS (SELECT FROM held)
		ORDER BY due_at, id LIMIT $3
	), chosen AS (SELECT id FROM page` + expireLate + `
	SELECT id, task_type, NULL::timestamptz, 0 FROM expired
	UNION ALL
	(SELECT id, '', due_at, count(*) OVER () FROM page ORDER BY due_at DESC, id DESC LIMIT 1)`

// ExpireByType looks at overdue tasks, at most limit, soonest due first, after the point that
// after names. It ends those that their type's expires_in is over of (T9), and returns them,
// where to go on, and whether there may be more.
func (db *DB) ExpireByType(ctx context.Context, after task.Due, limit int) (expired []task.Ref, next task.Due, more bool, err error) {
	err = db.retry(ctx, "expire tasks by type", func(ctx context.Context) error {
		expired, next, more = expired[:0], after, false
		rows, err := db.pool.Query(ctx, expireOverdue, after.At, after.ID, limit)
		if err != nil {
			return err
		}
		var ref task.Ref
		var at *time.Time
		var seen int
		_, err = pgx.ForEachRow(rows, []any{scanUUID(&ref.ID), &ref.Type, &at, &seen}, func() error {
			if at == nil {
				expired = append(expired, ref)
			} else {
				next, more = task.Due{At: *at, ID: ref.ID}, seen == limit
			}
			return nil
		})
		return err
	})
	return expired, next, more, err
}
