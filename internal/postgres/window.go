package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Now reads Postgres' clock.
func (db *DB) Now(ctx context.Context) (now time.Time, err error) {
	err = db.retryRead(ctx, "read the clock", func(ctx context.Context) error {
		return db.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	})
	return now, err
}

// Window looks at no more than limit open tasks, soonest first: due after the point
// that after names, up to and including until. It returns those that still have to
// run, where the next page begins, and whether there may be one. What runs already
// is looked at too, and so the cost is that of the page, however much runs.
func (db *DB) Window(ctx context.Context, after task.Due, until time.Time, limit int) (
	page []task.Due, next task.Due, more bool, err error,
) {
	err = db.retryRead(ctx, "read the window", func(ctx context.Context) error {
		page, next = page[:0], after
		seen := 0
		rows, err := db.pool.Query(ctx, `
			SELECT due_at, id, task_type, status = 'submitted' FROM tasks_open
			WHERE (due_at, id) > ($1, $2) AND due_at <= $3
			ORDER BY due_at, id LIMIT $4`, after.At, after.ID, until, limit)
		if err != nil {
			return err
		}
		var waits bool
		_, err = pgx.ForEachRow(rows, []any{&next.At, scanUUID(&next.ID), &next.Type, &waits}, func() error {
			seen++
			if waits {
				page = append(page, next)
			}
			return nil
		})
		more = seen == limit
		return err
	})
	return page, next, more, err
}
