package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// restCursor is where the walk over the rest stands. The zero value is its beginning.
type restCursor struct {
	mu sync.Mutex
	id uuid.UUID
}

// DeleteRest deletes what no partition was there for when it ended, and what goes with tasks
// that were deleted: sessions that died, ids that were sent again, and the answers to bulk creates. It looks at a page of
// at most limit tasks per call; done is true at the end of a walk, and the next call begins
// from the start. There is nearly never anything.
func (db *DB) DeleteRest(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error) {
	db.rest.mu.Lock()
	defer db.rest.mu.Unlock()
	var next uuid.UUID
	err = db.retry(ctx, "delete old tasks", func(ctx context.Context) error {
		if db.rest.id == uuid.Nil {
			if err := db.deleteDeadSessions(ctx, keep); err != nil {
				return err
			}
		}
		var seen int
		err := db.pool.QueryRow(ctx, deleteRest, db.rest.id, keep, limit).Scan(&seen, &deleted, &next)
		done = seen < limit
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("look at the rest of the history: %w", err)
	}
	db.rest.id = next
	if done {
		db.rest.id = uuid.Nil
	}
	return deleted, done, nil
}

const deleteRest = `
	WITH page AS MATERIALIZED (
		SELECT id, finished_at FROM tasks_ended_default WHERE id > $1 ORDER BY id LIMIT $3
	), deleted AS (
		DELETE FROM tasks_ended_default USING page
		WHERE tasks_ended_default.id = page.id AND page.finished_at < clock_timestamp() - $2::interval
		RETURNING 1
	)
	SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM deleted), coalesce((SELECT id FROM page ORDER BY id DESC LIMIT 1), $1)`

// deleteDeadSessions deletes what belongs to tasks that were deleted.
func (db *DB) deleteDeadSessions(ctx context.Context, keep time.Duration) error {
	_, err := db.pool.Exec(ctx, `
		WITH sessions AS (
			DELETE FROM workers WHERE dead_at < clock_timestamp() - $1::interval RETURNING id
		), cancelled AS (
			DELETE FROM cancels USING sessions WHERE cancels.worker_id = sessions.id
		), copies AS (
			DELETE FROM created_again WHERE id = ANY(ARRAY(
				SELECT id FROM created_again WHERE at < clock_timestamp() - greatest($1::interval, '1 hour') ORDER BY at LIMIT 1000))
		)
		DELETE FROM batches WHERE key = ANY(ARRAY(
			SELECT key FROM batches
			WHERE last_due < clock_timestamp() - $1::interval AND created_at < clock_timestamp() - $1::interval
			ORDER BY last_due LIMIT 1000))`, keep)
	return err
}
