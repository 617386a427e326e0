package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// lockTypes begins every change of a type. The lock waits for the starts (T2) and the
// creates (T0) that hold types until they have committed, and those that come after it
// wait for the change: both hold their types' rows, for which Postgres locks this table
// in a mode that conflicts. The lock queues in order, so a change is not kept
// waiting by a stream of starts as it would be by the locks of the row alone, which any
// number of starts share. What decides is a second statement, whose snapshot is later
// than the lock, so it sees every task that was ever permitted. Changes exclude each
// other too, so versions commit in order.
//
// All of it is sent at once, so that no lock waits for this process. While a change
// waits, starts wait behind it: a start that is slow itself, since a task's row is
// locked, must not hold them up for long.
var lockTypes = []string{"BEGIN", "SET LOCAL lock_timeout = '500ms'", "LOCK TABLE types IN EXCLUSIVE MODE"}

// errMoved says that another change of a type came between.
var errMoved = errors.New("another type was changed meanwhile")

// changeType carries out one change of a type. A change names the version that it was
// decided at: a copy of the statement that arrives after the answer, and after the
// changes of others, finds another one and does nothing.
func (db *DB) changeType(ctx context.Context, what string, change func(ctx context.Context, version int64) error) error {
	return db.retry(ctx, what, func(ctx context.Context) error {
		for {
			var version int64
			err := db.pool.QueryRow(ctx, typesVersion).Scan(&version)
			if err == nil {
				err = change(ctx, version)
			}
			if !errors.Is(err, errMoved) {
				return err
			}
		}
	})
}

const typesVersion = `SELECT version FROM types_version`

// locked sends a statement of one row in a transaction that has locked the types.
func (db *DB) locked(ctx context.Context, query string, args []any, row ...any) (err error) {
	var batch pgx.Batch
	for _, statement := range lockTypes {
		batch.Queue(statement)
	}
	batch.Queue(query, args...)
	batch.Queue("COMMIT")
	results := db.pool.SendBatch(ctx, &batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for range lockTypes {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	found := results.QueryRow().Scan(row...)
	if found != nil && !errors.Is(found, pgx.ErrNoRows) {
		return found
	}
	if _, err := results.Exec(); err != nil {
		return err
	}
	return found
}

// PutType creates a type or replaces the one of its name, and returns it as it is now and
// whether it is new. A secret of its webhook that is nil stays as it was, and an empty
// one is removed. Nil means that from now on all of it holds for every start: of a type
// that is paused, nothing starts. Errors are task.ErrTooManyTypes, task.ErrOlderWorkers,
// task.ErrUnavailable, task.ErrUnknownOutcome and *task.RejectedError.
func (db *DB) PutType(ctx context.Context, t task.Type) (put task.Type, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	values := typeValues(&t)
	err = db.changeType(ctx, "put type", func(ctx context.Context, version int64) error {
		var row typeRow
		args := append([]any{version, task.MaxTypes, holdsBack(t)}, values...)
		err := db.locked(ctx, putType, args, append(row.targets(), &created)...)
		switch {
		case err == nil:
			put, err = row.read()
		case errors.Is(err, pgx.ErrNoRows):
			err = db.whyNotPut(ctx, version, holdsBack(t))
		}
		return err
	})
	if refusal, data := isData(err); data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	return put, created, err
}

// The secrets that are not named are those of the row that is replaced.
var putType = `
	WITH old AS (
		SELECT webhook::jsonb FROM types WHERE name = $4
	), next AS (
		UPDATE types_version SET version = version + 1
		WHERE version = $1 AND (EXISTS (SELECT FROM old) OR (SELECT count(*) FROM types) < $2)
		      AND NOT ($3 AND EXISTS (SELECT FROM workers WHERE dead_at IS NULL AND protocol < 2))
		RETURNING version
	), missed AS (
		-- What runs, and was not counted, since there was no limit.
		INSERT INTO uncounted (task_type, task_id, attempt)
		SELECT t.task_type, t.id, t.attempt
		FROM next CROSS JOIN starts s CROSS JOIN unnest(s.task_ids) AS started (id) JOIN tasks_open t ON t.id = started.id
		WHERE ` + typeColumns.parameter("max_running", 4) + `::int IS NOT NULL AND (SELECT max_running FROM types WHERE name = $4) IS NULL
		      AND s.task_type IS NULL AND t.status = 'started_executing' AND t.worker_id = s.worker_id AND t.task_type = $4
		ON CONFLICT (task_type, task_id) DO UPDATE SET attempt = excluded.attempt
	), put AS (
		INSERT INTO types (` + typeColumns.names() + `, version)
		SELECT ` + typeColumns.parameters(4) + `, next.version
		FROM next LEFT JOIN old ON true
		ON CONFLICT (name) DO UPDATE SET
			` + typeColumns.excluded() + `, version = excluded.version, updated_at = clock_timestamp()
		RETURNING *
	)
	SELECT ` + typeColumns.names() + `, version, updated_at, NOT EXISTS (SELECT FROM old) FROM put`

// holdsBack is whether a type keeps tasks from starting that are due, which workers of an
// older version do not know.
func holdsBack(t task.Type) bool { return t.Paused || t.MaxRunning != nil || t.Rate != nil }

// whyNotPut tells apart why nothing was put.
func (db *DB) whyNotPut(ctx context.Context, version int64, holdsBack bool) error {
	var same, older bool
	err := db.pool.QueryRow(ctx, `
		SELECT version = $1, EXISTS (SELECT FROM workers WHERE dead_at IS NULL AND protocol < 2)
		FROM types_version`, version).Scan(&same, &older)
	switch {
	case err != nil:
		return err
	case holdsBack && older:
		return task.ErrOlderWorkers
	case same:
		return task.ErrTooManyTypes
	}
	return errMoved
}

// DeleteType deletes a type of which no task is open, and that no schedule names. Errors are task.ErrNoSuchType,
// task.ErrTypeShips, task.ErrTypeInUse, task.ErrUnavailable and task.ErrUnknownOutcome.
func (db *DB) DeleteType(ctx context.Context, name string) error {
	if task.Ships(name) {
		return task.ErrTypeShips
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tries := 0
	return db.changeType(ctx, "delete type", func(ctx context.Context, version int64) error {
		tries++
		var deleted, there, open bool
		err := db.locked(ctx, deleteType, []any{version, name}, &deleted, &there, &open)
		switch {
		case err != nil:
			return err
		case deleted, !there && tries > 1: // An earlier try may have done so, and its reply was lost.
			return nil
		case !there:
			return task.ErrNoSuchType
		case open:
			return task.ErrTypeInUse
		}
		return errMoved
	})
}

// The open tasks of a type are found by the index of the lists. The range, where an
// equality would do, and the order keep the planner from every other.
const deleteType = `
	WITH open AS MATERIALIZED (
		SELECT id FROM tasks_open
		WHERE outcome = 'open' AND task_type >= $2 AND task_type <= $2
		ORDER BY task_type, id LIMIT 1
	), named AS (
		SELECT FROM schedules WHERE task_type = $2 LIMIT 1
	), next AS (
		UPDATE types_version SET version = version + 1
		WHERE version = $1 AND EXISTS (SELECT FROM types WHERE name = $2) AND NOT EXISTS (SELECT FROM open)
		      AND NOT EXISTS (SELECT FROM named)
		RETURNING version
	), deleted AS (
		DELETE FROM types USING next WHERE name = $2 RETURNING name
	)
	SELECT EXISTS (SELECT FROM deleted), EXISTS (SELECT FROM types WHERE name = $2),
	       EXISTS (SELECT FROM open) OR EXISTS (SELECT FROM named)`

// GetType reads one type. The error is task.ErrNoSuchType or task.ErrUnavailable.
func (db *DB) GetType(ctx context.Context, name string) (t task.Type, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "get type", func(ctx context.Context) error {
		var row typeRow
		err := db.reads.QueryRow(ctx, `SELECT `+typeColumns.names()+`, version, updated_at FROM types WHERE name = $1`, name).
			Scan(row.targets()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNoSuchType
		}
		if err == nil {
			t, err = row.read()
		}
		return err
	})
	return t, err
}

// Types reads what changed of the types since a version, all of them since 0. If nothing
// did, that is one statement which reads one row. The error is task.ErrUnavailable.
func (db *DB) Types(ctx context.Context, since int64) (types task.Types, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "read types", func(ctx context.Context) error {
		types = task.Types{}
		err := db.reads.QueryRow(ctx, typesVersion).Scan(&types.Version)
		if err != nil || types.Version == since {
			return err
		}
		if types.Version < since {
			since = 0 // It is another database, or a copy of an earlier time.
		}
		// One snapshot for all of it.
		options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, db.reads, options, func(tx pgx.Tx) error { return readTypes(ctx, tx, since, &types) })
	})
	return types, err
}

func readTypes(ctx context.Context, tx pgx.Tx, since int64, types *task.Types) error {
	if err := tx.QueryRow(ctx, typesVersion).Scan(&types.Version); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT name FROM types ORDER BY name`)
	if err != nil {
		return err
	}
	if types.Names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `
		SELECT `+typeColumns.names()+`, version, updated_at FROM types WHERE version > $1 ORDER BY name`, since)
	if err != nil {
		return err
	}
	types.Changed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (task.Type, error) {
		var r typeRow
		if err := row.Scan(r.targets()...); err != nil {
			return task.Type{}, fmt.Errorf("read a type: %w", err)
		}
		return r.read()
	})
	return err
}
