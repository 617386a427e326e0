package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Delete ends a task that has not started (T5), and returns its type. Nil means that it
// never runs, also if it was deleted before. Otherwise it is task.ErrNotFound, or a
// *task.StatusError with the status that stands in the way.
func (db *DB) Delete(ctx context.Context, id task.ID) (taskType string, err error) {
	err = db.retry(ctx, "delete task", func(ctx context.Context) error {
		for {
			err := db.pool.QueryRow(ctx, deleteOne, id).Scan(&taskType)
			if !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			var status task.Status
			err = db.pool.QueryRow(ctx, `SELECT status, task_type FROM tasks WHERE id = $1`, id).Scan(&status, &taskType)
			switch {
			case errors.Is(err, pgx.ErrNoRows):
				return task.ErrNotFound
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
	return taskType, err
}

// The row is deleted here and inserted there: a start that waits for it passes by what is
// gone, where it would have to begin anew with all of its tasks if the row had been moved
// by an update.
var deleteOne = `
	WITH t AS (
		DELETE FROM tasks_open WHERE id = $1 AND status = 'submitted' RETURNING *
	)
	INSERT INTO tasks_ended (` + strings.ReplaceAll(rowColumns, "t.", "") + `)
	SELECT ` + strings.NewReplacer("t.status", "'deleted'", "t.finished_at", "clock_timestamp()").Replace(rowColumns) + ` FROM t
	RETURNING task_type`
