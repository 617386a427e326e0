package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	query, args := changeOf(read, &to)
	err := db.retry(ctx, "change task", func(ctx context.Context) error {
		tries++
		changed = task.Task{}
		err := db.pool.QueryRow(ctx, query, args...).Scan(targets(&changed, readScans, &now)...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if tries == 1 {
			return task.ErrChanged
		}
		// An earlier try may have done it although its reply was lost.
		err = db.pool.QueryRow(ctx, `SELECT `+readColumns+`, clock_timestamp() FROM tasks t WHERE t.id = $1`, read.ID).
			Scan(targets(&changed, readScans, &now)...)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !isAsChanged(&changed, read, &to, now) {
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

// changeOf is the statement that makes a change of a task as it was read. A start that waits for
// it reads the row again, and a start that it waits for leaves none that is submitted in this
// attempt: due_at is compared in the start itself. An occurrence that a client moves is no
// longer skipped when it is late.
func changeOf(read *task.Task, to *task.Change) (query string, args []any) {
	args = []any{read.ID, read.Attempt, read.Changes}
	var set strings.Builder
	if to.Now { // both times are those of the statement's arrival
		set.WriteString("execution_time = statement_timestamp(), due_at = statement_timestamp(), skip_after = NULL, ")
	}
	for _, c := range taskColumns {
		if c.change == nil {
			continue
		}
		value, given := c.change(to)
		if !given {
			continue
		}
		args = append(args, value)
		fmt.Fprintf(&set, "%s = $%d%s, ", c.name, len(args), c.changeCast())
		if c.name == "execution_time" {
			fmt.Fprintf(&set, "due_at = $%d::timestamptz, skip_after = NULL, ", len(args))
		}
	}
	update := `
	UPDATE tasks_open t SET ` + set.String() + `changes = $3::int + 1
	WHERE t.id = $1 AND t.status = 'submitted' AND t.attempt = $2 AND coalesce(t.changes, 0) = $3::int
	RETURNING `
	if !to.SetLabels {
		return update + readColumns + `, clock_timestamp()`, args
	}
	// What finds the task by its labels changes with them.
	args = append(args, []string(read.Labels))
	return `
	WITH t AS (` + update + `t.*)` + relabelled("$"+strconv.Itoa(len(args))) + `
	SELECT ` + readColumns + `, clock_timestamp() FROM t`, args
}

// relabelled notes the labels of a task t that has been changed, and drops those of before that it
// has no longer.
func relabelled(before string) string {
	return `, dropped AS (
		DELETE FROM task_labels l USING t
		WHERE l.label = ANY(` + before + `::text[]) AND l.id = t.id AND (l.label = ANY(t.labels)) IS NOT TRUE
	), noted AS (
		INSERT INTO task_labels (label, id) SELECT unnest(t.labels), t.id FROM t ON CONFLICT DO NOTHING
	)`
}

// changeCast is how a parameter becomes a value of the column.
func (c column) changeCast() string {
	cast := "::" + strings.TrimSuffix(c.create.array, "[]")
	if c.create.cast != "" {
		cast += "::" + c.create.cast
	}
	return cast
}

// isAsChanged reports whether a task is as this change of what was read has left it. If another
// client asked for the very same, it is as good.
func isAsChanged(found, read *task.Task, to *task.Change, now time.Time) bool {
	if found.Changes != read.Changes+1 || to.Now && found.ExecutionTime.After(now) {
		return false
	}
	for _, c := range taskColumns {
		if c.change == nil {
			continue
		}
		if _, given := c.change(to); given && !c.changed(found, to) {
			return false
		}
	}
	return true
}

func textOf(payload []byte) *string {
	if payload == nil {
		return nil
	}
	text := string(payload)
	return &text
}
