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

// Window reads at most limit tasks that still have to run, soonest first: due
// after the point that after names, up to and including until. Its cost is
// that of the page.
func (db *DB) Window(ctx context.Context, after task.Due, until time.Time, limit int) (page []task.Due, err error) {
	err = db.retryRead(ctx, "read the window", func(ctx context.Context) error {
		rows, err := db.pool.Query(ctx, `
			SELECT due_at, id FROM tasks
			WHERE outcome = 'open' AND status = 'submitted' AND (due_at, id) > ($1, $2) AND due_at <= $3
			ORDER BY due_at, id LIMIT $4`, after.At, after.ID, until, limit)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (due task.Due, err error) {
			err = row.Scan(&due.At, into(&due.ID))
			return due, err
		})
		return err
	})
	return page, err
}
