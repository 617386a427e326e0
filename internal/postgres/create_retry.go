package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Retry creates a task with the content of one that has failed or was deleted, and returns it and how
// far ahead it is due, which is now. That one stays as it is. Of the draft it takes the id,
// the key and the trace; if the key names a task that repeats the same one, that is returned. Errors are task.ErrNotFound,
// *task.StatusError for a task of another status, task.ErrKeyReused, task.ErrDeleted,
// task.ErrUnknownType, task.ErrUnavailable and task.ErrUnknownOutcome.
func (db *DB) Retry(ctx context.Context, old task.ID, draft task.Draft) (*task.Task, time.Duration, error) {
	var made task.Task
	var now time.Time
	names := namesOf([]task.Draft{draft})
	if names.keys == nil {
		// Each copy of this looks through what has ended, so none needs a mark.
		names.keys = []string{}
	}
	err := db.retry(ctx, "retry task", func(ctx context.Context) error {
		made = task.Task{}
		var batch pgx.Batch
		var inserted error
		batch.Queue(retryOne, old, draft.ID, nullIfEmpty(draft.Key), nullIfEmpty(draft.TraceParent)).QueryRow(func(row pgx.Row) error {
			if inserted = row.Scan(targets(&made, readScans, &now)...); errors.Is(inserted, pgx.ErrNoRows) {
				return nil
			}
			return inserted
		})
		batch.Queue(refuseEnded, names.made(), names.first, names.last, uuids(names.ids), names.keys)
		err := db.pool.SendBatch(ctx, &batch).Close()
		if isConflict(err) {
			return fmt.Errorf("resolve a conflicting retry: %w", errVanished)
		}
		if err == nil && inserted != nil {
			now, err = db.whyNotRetried(ctx, old, draft.ID, draft.Key, &made)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return &made, made.DueAt.Sub(now), nil
}

// The content is every column that a client sets. The type is held until the task is there.
var retryOne = `
	WITH old AS MATERIALIZED (
		SELECT * FROM tasks WHERE id = $1 AND status IN ('failed', 'deleted')
	), held AS MATERIALIZED (
		SELECT name FROM types WHERE name = (SELECT task_type FROM old) FOR KEY SHARE
	), made AS (
		INSERT INTO tasks_open (` + createColumns.names() + `, due_at, retry_of)
		SELECT ` + createColumns.list(", ", retried) + `, statement_timestamp(), t.id
		FROM old t JOIN held ON held.name = t.task_type
		WHERE NOT EXISTS (SELECT FROM tasks_ended e WHERE e.id = $2)
		      AND NOT EXISTS (SELECT FROM tasks_ended e WHERE e.idempotency_key = $3)
		ON CONFLICT DO NOTHING
		RETURNING *
	)` + notedBy("made") + `
	SELECT ` + readColumns + `, clock_timestamp() FROM made t`

func retried(_ int, c column) string {
	if c.create.retried != "" {
		return c.create.retried
	}
	return c.plain()
}

// whyNotRetried tells apart why nothing was created, and reads the task that is there already:
// an earlier try of this call has created it, or one with the same key.
func (db *DB) whyNotRetried(ctx context.Context, old, id task.ID, key string, made *task.Task) (now time.Time, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT `+readColumns+`, clock_timestamp()
		FROM (
			SELECT * FROM tasks WHERE id = $1
			UNION ALL
			SELECT * FROM tasks WHERE idempotency_key = $2 AND id <> $1
			LIMIT 1) t`, id, nullIfEmpty(key)).Scan(targets(made, readScans, &now)...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return now, err
	case made.RetryOf != old:
		return now, task.ErrKeyReused
	case made.Status == task.Deleted && made.ID != id:
		return now, task.ErrDeleted
	default:
		return now, nil
	}
	var status task.Status
	var declared bool
	err = db.pool.QueryRow(ctx, `
		SELECT status, EXISTS (SELECT FROM types WHERE name = task_type) FROM tasks WHERE id = $1`, old).Scan(&status, &declared)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return now, task.ErrNotFound
	case err != nil:
		return now, err
	case status != task.Failed && status != task.Deleted:
		return now, &task.StatusError{Status: status}
	case !declared:
		return now, task.ErrUnknownType
	}
	return now, fmt.Errorf("resolve a conflicting retry: %w", errVanished)
}

func nullIfEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
