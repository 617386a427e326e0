package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Cancel deletes a task that has not started, as Delete does, or stores with one that runs that
// it is to be cancelled (T8). It returns the task: if it was deleted, no more than its id, type
// and status. Errors are task.ErrNotFound, *task.StatusError for a task that has ended,
// task.ErrOlderWorkers, task.ErrUnavailable and task.ErrUnknownOutcome.
func (db *DB) Cancel(ctx context.Context, id task.ID) (*task.Task, error) {
	var found task.Task
	tries := 0
	err := db.retry(ctx, "cancel task", func(ctx context.Context) error {
		tries++
		for {
			found = task.Task{ID: id, Status: task.Deleted}
			err := db.pool.QueryRow(ctx, deleteOne, id).Scan(&found.Type)
			if !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			found = task.Task{}
			if err := scan(db.pool.QueryRow(ctx, cancelOne, id), &found); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			var older bool
			err = db.pool.QueryRow(ctx, `SELECT `+readColumns+`, `+olderWorkers+` FROM tasks t WHERE t.id = $1`, id).
				Scan(targets(&found, readScans, &older)...)
			switch {
			case errors.Is(err, pgx.ErrNoRows):
				return task.ErrNotFound
			case err != nil:
				return err
			case found.Status == task.Started && older:
				return task.ErrOlderWorkers
			case !found.Status.Terminal():
				continue // it has started, or was put back, between the statements
			case tries > 1 && (found.Status == task.Deleted || !found.CancelRequestedAt.IsZero()):
				return nil // an earlier try may have done it although its reply was lost
			}
			return &task.StatusError{Status: found.Status}
		}
	})
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// olderWorkers is whether a worker is up that would attempt a cancelled task again.
const olderWorkers = `EXISTS (SELECT FROM workers WHERE dead_at IS NULL AND protocol < 3)`

// The wish stands in the row whose end it decides: an end that waits for this statement reads
// the row again, and one that this statement waits for leaves none that is started.
var cancelOne = `
	WITH t AS (
		UPDATE tasks_open SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
		WHERE id = $1 AND status = 'started_executing' AND NOT ` + olderWorkers + `
		RETURNING *
	), told AS (
		INSERT INTO cancels (worker_id, task_id) SELECT worker_id, id FROM t ON CONFLICT DO NOTHING
	)
	SELECT ` + readColumns + ` FROM t`

// Cancels are the tasks that a session runs and is to cancel. It tries once. There are nearly
// always none, and then it looks into an empty table.
func (db *DB) Cancels(ctx context.Context, session uuid.UUID) ([]task.ID, error) {
	rows, err := db.pool.Query(ctx, `
		WITH ended AS (
			DELETE FROM cancels c WHERE c.worker_id = $1 AND NOT `+stillRuns+`
		)
		SELECT c.task_id FROM cancels c WHERE c.worker_id = $1 AND `+stillRuns, session)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (id task.ID, err error) {
		return id, row.Scan(scanUUID(&id))
	})
}

const stillRuns = `EXISTS (
			SELECT FROM tasks_open t WHERE t.id = c.task_id AND t.worker_id = c.worker_id AND t.status = 'started_executing')`
