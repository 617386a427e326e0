package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// A key names one task after another here: it is free once its task has ended. So what refuses
// keys of ended tasks, see once.go, is left out, and the state of the key that was read guards the
// statements instead. A replacement names the number of changes that was read. A create names
// the time at which the key was read to be free, and fails if a task of the key has ended
// since: a copy that arrives late, also after its own task has ended, creates nothing.

// OpenByKey reads the open task of a key, or nil. No task had the key at the time as of, by
// Postgres' clock, if it is nil. The error is task.ErrUnavailable.
func (db *DB) OpenByKey(ctx context.Context, key string) (open *task.Task, asOf time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "look up a key", func(ctx context.Context) error {
		open = nil
		var batch pgx.Batch
		// It is taken before the snapshot of the other.
		batch.Queue(`SELECT statement_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&asOf) })
		batch.Queue(`SELECT `+readColumns+` FROM tasks_open t WHERE t.idempotency_key = $1`, key).Query(func(rows pgx.Rows) error {
			var found task.Task
			_, err := pgx.ForEachRow(rows, targets(&found, readScans), func() error { open = &found; return nil })
			return err
		})
		return db.reads.SendBatch(ctx, &batch).Close()
	})
	return open, asOf, err
}

// GetByKey reads the open task of a key, or else the one that was created last. Its cost grows with
// how many of that one key have ended. The error is task.ErrNotFound or task.ErrUnavailable.
func (db *DB) GetByKey(ctx context.Context, key string) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var found task.Task
	err := db.retryRead(ctx, "get a task by its key", func(ctx context.Context) error {
		err := scan(db.reads.QueryRow(ctx, getByKey, key), &found)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &found, nil
}

var getByKey = `
	SELECT ` + readColumns + ` FROM tasks_open t WHERE t.idempotency_key = $1
	UNION ALL
	(SELECT ` + readColumns + ` FROM tasks_ended t WHERE t.idempotency_key = $1 ORDER BY t.created_at DESC, t.id DESC LIMIT 1)
	LIMIT 1`

// keyTypesAt is the parameter after those of createColumns.
var keyTypesAt = len(createColumns) + 1

var createForKey = creating{plain: creatingForKey(""), labelled: creatingForKey(notedBy("t"))}

func creatingForKey(noted string) string {
	return `WITH ` + holdTypes(keyTypesAt) + `, t AS (` + insertDrafts + ` WHERE ` + allHeld(keyTypesAt) + ` RETURNING *)` + noted + `
		SELECT ` + readColumns + `, clock_timestamp() FROM t`
}

// CreateByKey creates the task of a key that was free as of a time (T0), and returns it and how
// far ahead it is due. It is task.ErrChanged, and nothing was created, if the key was taken since. Other
// errors are task.ErrUnknownType, task.ErrUnavailable, task.ErrUnknownOutcome and
// *task.RejectedError.
func (db *DB) CreateByKey(ctx context.Context, draft task.Draft, asOf time.Time) (*task.Task, time.Duration, error) {
	var created task.Task
	var now time.Time
	err := db.retry(ctx, "create the task of a key", func(ctx context.Context) error {
		created = task.Task{}
		one := []task.Draft{draft}
		held := false
		var batch pgx.Batch
		batch.Queue(createForKey.of(one), append(createColumns.arguments(one), namesOrNone(heldTypes(one)))...).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, targets(&created, readScans, &now), func() error { held = true; return nil })
			return err
		})
		// The row stands in the index now, where no other of the key can be.
		batch.Queue(`SELECT refuse_key_used($1, $2)`, draft.Key, asOf)
		err := db.pool.SendBatch(ctx, &batch).Close()
		if isConflict(err) {
			return db.asItIs(ctx, draft.ID, &created, &now) // an earlier try may have created it
		}
		if err == nil && !held {
			return task.ErrUnknownType
		}
		return err
	})
	return dueIn(&created, now, err)
}

// asItIs reads a task that this call may have made or changed. It is task.ErrChanged if there is
// none.
func (db *DB) asItIs(ctx context.Context, id task.ID, t *task.Task, now *time.Time) error {
	err := db.pool.QueryRow(ctx, `SELECT `+readColumns+`, clock_timestamp() FROM tasks t WHERE t.id = $1`, id).
		Scan(targets(t, readScans, now)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return task.ErrChanged
	}
	return err
}

func dueIn(t *task.Task, now time.Time, err error) (*task.Task, time.Duration, error) {
	if refusal, data := isData(err); data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	if err != nil {
		return nil, 0, err
	}
	return t, t.DueAt.Sub(now), nil
}

// Replace makes of a task that has not started what a draft asks for, under the id and the key
// that it has (T7), if it is still as it was when it was read. Attempts that were made stay
// counted, since that number fences them off: the draft's come on top. See Change for what is
// returned; task.ErrUnknownType is another error.
func (db *DB) Replace(ctx context.Context, read *task.Task, draft task.Draft) (*task.Task, time.Duration, error) {
	draft.ID = read.ID
	draft.MaxAttempts += read.Attempt
	one := []task.Draft{draft}
	content := createColumns.arguments(one)
	query, args := replaceOne, append(slices.Clone(content), namesOrNone(heldTypes(one)), read.Attempt, read.Changes)
	if read.Labels != nil || draft.Labels != nil {
		query, args = replaceLabelled, append(args, []string(read.Labels))
	}
	var replaced task.Task
	var now time.Time
	tries := 0
	err := db.retry(ctx, "replace the task of a key", func(ctx context.Context) error {
		tries++
		replaced = task.Task{}
		err := db.pool.QueryRow(ctx, query, args...).Scan(targets(&replaced, readScans, &now)...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if missing, err := db.undeclared(ctx, one); err != nil {
			return err
		} else if len(missing) > 0 {
			return task.ErrUnknownType
		}
		if tries == 1 {
			return task.ErrChanged
		}
		// An earlier try may have done it although its reply was lost.
		err = db.pool.QueryRow(ctx, isReplaced, append(slices.Clone(content), read.Changes)...).
			Scan(targets(&replaced, readScans, &now)...)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrChanged
		}
		return err
	})
	return dueIn(&replaced, now, err)
}

var (
	replaceUpdate = `
	UPDATE tasks_open t SET ` + replacedColumns.list(", ", func(n int, c column) string { return c.name + " = " + inserted(n, c) }) + `,
		due_at = draft.execution_time, changes = ` + fmt.Sprintf("$%d::int + 1", keyTypesAt+2) + `
	FROM ` + createColumns.unnest() + ` AS draft (` + createColumns.names() + `)
	WHERE t.id = draft.id AND t.idempotency_key = draft.idempotency_key AND t.status = 'submitted'
	      AND ` + fmt.Sprintf("t.attempt = $%d AND coalesce(t.changes, 0) = $%d::int", keyTypesAt+1, keyTypesAt+2) + ` AND ` + allHeld(keyTypesAt) + `
	RETURNING `

	replaceOne = `WITH ` + holdTypes(keyTypesAt) + replaceUpdate + readColumns + `, clock_timestamp()`

	// What finds the task by its labels changes with them.
	replaceLabelled = `WITH ` + holdTypes(keyTypesAt) + `, t AS (` + replaceUpdate + `t.*)` +
		relabelled(fmt.Sprintf("$%d", keyTypesAt+3)) + `
	SELECT ` + readColumns + `, clock_timestamp() FROM t`

	// What stands in a row is compared as text: json has no equality.
	isReplaced = `
	SELECT ` + readColumns + `, clock_timestamp()
	FROM ` + createColumns.unnest() + ` AS draft (` + createColumns.names() + `)
	JOIN tasks t ON t.id = draft.id
	WHERE t.changes = ` + fmt.Sprintf("$%d::int + 1", keyTypesAt) + ` AND ` +
		replacedColumns.list(" AND ", func(n int, c column) string {
			return "t." + c.name + "::text IS NOT DISTINCT FROM (" + inserted(n, c) + ")::text"
		})
)

// namesOrNone are names as an array that is not NULL.
func namesOrNone(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
