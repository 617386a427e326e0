package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// widths are how much time a partition of the history may hold, and how long tasks must be
// kept for it. Tasks go with their partition, so they stay for up to a quarter longer; and
// a few to some thirty partitions are all that a look at the history has to ask.
var widths = []struct{ width, keep time.Duration }{
	{28 * day, 112 * day}, {7 * day, 28 * day}, {day, 4 * day}, {6 * time.Hour, day}, {time.Hour, 6 * time.Hour},
	{10 * time.Minute, time.Hour}, {5 * time.Minute, 20 * time.Minute}, {time.Minute, 4 * time.Minute},
}

const (
	day = 24 * time.Hour
	// minWidth is that of a partition for tasks that are kept for minutes.
	minWidth = 10 * time.Second
)

// partitionWidth is how much time a partition holds if tasks are kept for as long as keep.
func partitionWidth(keep time.Duration) time.Duration {
	for _, w := range widths {
		if keep >= w.keep {
			return w.width
		}
	}
	return minWidth
}

// ExtendHistory makes the partitions of the history for now and for what comes next. A table
// that others hold is not waited for: it is left for the next call, and what ends meanwhile
// is stored too.
func (db *DB) ExtendHistory(ctx context.Context, keep time.Duration) error {
	width := partitionWidth(keep)
	return db.retry(ctx, "extend the history", func(ctx context.Context) error {
		for made := true; made; {
			err := db.pool.QueryRow(ctx, `SELECT extend_history($1)`, width).Scan(&made)
			if isBusy(err) {
				db.log.Debug("history is extended later", "error", err)
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DropEnded drops the partitions whose tasks all ended more than keep ago, and returns about
// how many tasks they were. The cost is that of dropping files, however many tasks there
// are. A partition that others hold is left for the next call.
func (db *DB) DropEnded(ctx context.Context, keep time.Duration) (dropped int64, err error) {
	err = db.retry(ctx, "drop old tasks", func(ctx context.Context) error {
		for {
			var tasks *int64
			err := db.pool.QueryRow(ctx, `SELECT drop_history($1)`, keep).Scan(&tasks)
			if isBusy(err) {
				db.log.Debug("old tasks are dropped later", "error", err)
				return nil
			}
			if err != nil || tasks == nil {
				return err
			}
			dropped += *tasks
		}
	})
	return dropped, err
}

// isBusy reports whether a lock was not to be had in time.
func isBusy(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.LockNotAvailable
}

// restCursor is where the walk over the rest stands. The zero value is its beginning.
type restCursor struct {
	mu sync.Mutex
	id uuid.UUID
}

// DeleteRest deletes what no partition was there for when it ended, and what goes with tasks
// that were deleted: sessions that died, and the answers to bulk creates. It looks at a page of
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
			DELETE FROM workers WHERE dead_at < clock_timestamp() - $1::interval
		)
		DELETE FROM batches WHERE key = ANY(ARRAY(
			SELECT key FROM batches
			WHERE last_due < clock_timestamp() - $1::interval AND created_at < clock_timestamp() - $1::interval
			ORDER BY last_due LIMIT 1000))`, keep)
	return err
}
