package postgres

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Change changes a task that has not started (T7), if it is still as it was when it was read,
// and returns it and how far ahead it is due. Nil means that it never runs at a time that
// it had before. Otherwise it is task.ErrChanged, and nothing was changed, task.ErrUnavailable,
// task.ErrUnknownOutcome or a *task.RejectedError.
//
// The number of changes guards the statement. A copy of it that arrives late, after this or
// another change, finds another number and does nothing.
func (db *DB) Change(ctx context.Context, read *task.Task, to task.Change) (*task.Task, time.Duration, error) {
	var changed task.Task
	var now time.Time
	tries := 0
	err := db.retry(ctx, "change task", func(ctx context.Context) error {
		tries++
		changed = task.Task{}
		err := db.pool.QueryRow(ctx, changeOne, read.ID, read.Attempt, read.Changes, to.ExecutionTime,
			to.SetPayload, textOf(to.Payload), to.MaxAttempts).Scan(targets(&changed, readScans, &now)...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if tries == 1 {
			return task.ErrChanged
		}
		// An earlier try may have done it although its reply was lost.
		err = db.pool.QueryRow(ctx, `SELECT `+readColumns+`, clock_timestamp() FROM tasks t WHERE t.id = $1`, read.ID).
			Scan(targets(&changed, readScans, &now)...)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !isAsChanged(&changed, read, to) {
			return task.ErrChanged
		}
		return err
	})
	if refusal, data := isData(err); data {
		return nil, 0, &task.RejectedError{Reason: refusal.Message}
	}
	if err != nil {
		return nil, 0, err
	}
	return &changed, changed.DueAt.Sub(now), nil
}

// A start that waits for this statement reads the row again, and a start that it waits for
// leaves none that is submitted in this attempt: due_at is compared in the start itself.
var changeOne = `
	UPDATE tasks_open t SET
		execution_time = coalesce($4::timestamptz, t.execution_time),
		due_at = coalesce($4::timestamptz, t.due_at),
		payload = CASE WHEN $5::bool THEN $6::text::json ELSE t.payload END,
		max_attempts = CASE WHEN $7::int > 0 THEN $7::int ELSE t.max_attempts END,
		changes = $3::int + 1
	WHERE t.id = $1 AND t.status = 'submitted' AND t.attempt = $2 AND coalesce(t.changes, 0) = $3::int
	RETURNING ` + readColumns + `, clock_timestamp()`

// isAsChanged reports whether a task is as this change of what was read has left it. If another
// client asked for the very same, it is as good.
func isAsChanged(now, read *task.Task, to task.Change) bool {
	return now.Changes == read.Changes+1 &&
		(to.ExecutionTime == nil || now.ExecutionTime.Equal(*to.ExecutionTime)) &&
		(!to.SetPayload || bytes.Equal(now.Payload, to.Payload)) &&
		(to.MaxAttempts == 0 || now.MaxAttempts == to.MaxAttempts)
}

func textOf(payload []byte) *string {
	if payload == nil {
		return nil
	}
	text := string(payload)
	return &text
}
