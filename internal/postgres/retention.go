package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// retentionCursor is where the walk over ended tasks stands. The zero value is its
// beginning.
type retentionCursor struct {
	outcome, taskType string
	id                uuid.UUID
}

// DeleteEnded deletes ended tasks that finished more than keep ago, a page of at most
// limit per call, and returns how many; done is true at the end of a walk, and the
// next call begins from the start. It goes along the index of the lists, from one outcome and
// type to the next, and of each sees only ids that were made more than keep ago: an
// id is a UUID of version 7, so no younger task can have ended by then. The cost is
// that of what may be deleted, and not that of history.
//
// An id has its time from the clock of the API that made it: a task of one that is
// ahead is kept for longer by as much.
func (db *DB) DeleteEnded(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error) {
	db.retention.Lock()
	defer db.retention.Unlock()
	at := db.retentionAt
	var next retentionCursor
	err = db.retry(ctx, "delete old tasks", func(ctx context.Context) error {
		if at == (retentionCursor{}) {
			if err := db.deleteDeadSessions(ctx, keep); err != nil {
				return err
			}
		}
		var seen int
		next, done = at, false
		err := db.pool.QueryRow(ctx, deletePage, at.outcome, at.taskType, at.id, keep, limit).Scan(&seen, &deleted, &next.id)
		if err != nil || seen == limit {
			return err
		}
		next = retentionCursor{}
		err = db.pool.QueryRow(ctx, `
			SELECT t.outcome::text AS name, t.task_type FROM tasks t
			WHERE t.outcome < 'open' AND (t.outcome, t.task_type) > (coalesce(nullif($1, ''), 'done')::task_outcome, $2)
			ORDER BY t.outcome, t.task_type LIMIT 1`, at.outcome, at.taskType).Scan(&next.outcome, &next.taskType)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		return err
	})
	if err != nil {
		return 0, false, err
	}
	db.retentionAt = next
	return deleted, done, nil
}

// The first id that was made after a time: its milliseconds since 1970, and nothing
// else.
const deletePage = `
	WITH bound AS MATERIALIZED (
		SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp() - $4::interval) * 1000)::bigint), 12, '0')
		        || '00000000000000000000')::uuid AS id
	), page AS MATERIALIZED (
		SELECT id, finished_at FROM tasks
		WHERE (outcome, task_type, id) > (nullif($1, '')::task_outcome, $2, $3)
		      AND (outcome, task_type, id) < (nullif($1, '')::task_outcome, $2, (SELECT id FROM bound))
		ORDER BY outcome, task_type, id LIMIT $5
	), deleted AS (
		DELETE FROM tasks USING page
		WHERE tasks.id = page.id AND page.finished_at < clock_timestamp() - $4::interval
		RETURNING 1
	)
	SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM deleted), coalesce((SELECT id FROM page ORDER BY id DESC LIMIT 1), $3)`

// deleteDeadSessions deletes what belongs to tasks that were deleted: sessions that
// died, and the answers to bulk creates.
func (db *DB) deleteDeadSessions(ctx context.Context, keep time.Duration) error {
	_, err := db.pool.Exec(ctx, `
		WITH sessions AS (
			DELETE FROM workers WHERE dead_at < clock_timestamp() - $1::interval
		)
		DELETE FROM batches WHERE key = ANY(ARRAY(
			SELECT key FROM batches
			WHERE last_due < clock_timestamp() - $1::interval AND created_at < clock_timestamp() - $1::interval
			ORDER BY last_due LIMIT 1000))`, keep)
	return err
}
