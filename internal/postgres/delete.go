package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Delete ends a task that has not started (T5). Nil means that it never runs,
// also if it was deleted before. Otherwise it is task.ErrNotFound, or a
// *task.StatusError with the status that stands in the way.
func (db *DB) Delete(ctx context.Context, id task.ID) error {
	return db.retry(ctx, "delete task", func(ctx context.Context) error {
		for {
			tag, err := db.pool.Exec(ctx, `
				UPDATE tasks SET status = 'deleted', finished_at = clock_timestamp()
				WHERE id = $1 AND status = 'submitted'`, id)
			if err != nil || tag.RowsAffected() == 1 {
				return err
			}
			status, err := db.status(ctx, id)
			switch {
			case err != nil:
				return err
			case status == task.Deleted:
				return nil
			case status != task.Submitted:
				return &task.StatusError{Status: status}
			}
			// A retry put it back between the two statements: act again.
		}
	})
}

func (db *DB) status(ctx context.Context, id task.ID) (status task.Status, err error) {
	err = db.pool.QueryRow(ctx, `SELECT status FROM tasks WHERE id = $1`, id).Scan(&status)
	if errors.Is(err, pgx.ErrNoRows) {
		err = task.ErrNotFound
	}
	return status, err
}
