package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// errVanished says that a row was removed between two statements. The call is
// repeated as a whole.
var errVanished = errors.New("the row was removed meanwhile")

// Start commits the start of those tasks that may run now (T2) and returns
// them: submitted, due and not expired by Postgres' clock, of one of these types, which is not
// paused and has no max_running, for a session whose lease is live. The others of ids are
// refused, and Refused says what to do with them.
//
// seq numbers this call within its session. Under it the statement leaves a
// receipt, and that is what makes a retry safe: of all copies of this statement,
// however late the network or a lock lets them commit, only one can write the
// receipt, and what the receipt names is what this call started. If the statement was
// retried, a copy may still arrive. Without the receipt it could start what was
// refused, so the receipt must be kept for as long as the session.
func (db *DB) Start(
	ctx context.Context, session uuid.UUID, seq int64, types []string, ids []task.ID,
) (started []task.Task, retried bool, err error) {
	tries := 0
	query := startAll
	err = db.retry(ctx, "start tasks", func(ctx context.Context) (err error) {
		tries++
		started, err = db.start(ctx, query, session, seq, types, ids)
		if isUniqueViolation(err, "starts_pkey") {
			started, err = db.receipt(ctx, session, seq)
		}
		if ctx.Err() != nil {
			query = startUnlocked
		}
		return err
	})
	if err == nil {
		started, err = db.loadPayloads(ctx, session, started)
	}
	return started, tries > 1, err
}

// The types are held until the start has committed: a pause waits for it, or is seen by
// it, since a row that is locked is read again after a wait (EvalPlanQual). They come
// before the tasks, in order; a change of a type holds no other row while it waits.
//
// The start reaches the tasks through their primary key, which sorts the array:
// two overlapping batches cannot deadlock.
var (
	startAll = startSession + startTypes + startUpdate + startReceipt

	// startUnlocked refuses the tasks whose rows others have locked. It is for a
	// start that waited too long for one: the rest of them need not wait.
	startUnlocked = startSession + startTypes + `, unlocked AS MATERIALIZED (
			SELECT id FROM tasks_open WHERE id = ANY($3) ORDER BY id FOR UPDATE SKIP LOCKED
		)` + startUpdate + ` AND t.id IN (SELECT id FROM unlocked)` + startReceipt

	startSession = `
		WITH session AS MATERIALIZED (
			SELECT id, lease_until > clock_timestamp() AS live FROM workers
			WHERE id = $1 AND dead_at IS NULL
			FOR KEY SHARE
		)`

	startTypes = `, held AS MATERIALIZED (
			SELECT name, expires_in FROM types WHERE name = ANY($4) AND NOT paused AND max_running IS NULL ORDER BY name FOR KEY SHARE
		)`

	startSet = `, started AS (
			UPDATE tasks_open t SET
				status = 'started_executing', worker_id = $1, attempt = attempt + 1,
				started_at = least(clock_timestamp(), ` + startBefore + `)
			FROM session`

	startUpdate = startSet + `
			WHERE session.live AND t.id = ANY($3) AND t.status = 'submitted' AND t.due_at <= clock_timestamp()
			      AND ` + inTime + ` AND t.task_type = ANY(ARRAY(SELECT name FROM held))`

	startReceipt = `
			RETURNING ` + startedRow + `
		), receipt AS (
			-- Also for a lapsed session, which may be renewed: its refusal must
			-- be as final as a start, or an earlier copy could still commit one.
			INSERT INTO starts (worker_id, seq, task_ids)
			SELECT id, $2, (SELECT coalesce(array_agg(id), '{}') FROM started) FROM session
		)
		SELECT * FROM started`
)

func (db *DB) start(
	ctx context.Context, query string, session uuid.UUID, seq int64, types []string, ids []task.ID,
) ([]task.Task, error) {
	rows, err := db.pool.Query(ctx, query, session, seq, uuids(ids), types)
	if err != nil {
		return nil, err
	}
	return collectStarted(rows, session)
}

// receipt reads what an earlier copy of this call started.
func (db *DB) receipt(ctx context.Context, session uuid.UUID, seq int64) ([]task.Task, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+startedRow+`
		FROM starts CROSS JOIN unnest(task_ids) AS started (id)
		JOIN tasks_open t ON t.id = started.id
		WHERE starts.worker_id = $1 AND seq = $2 AND t.worker_id = $1 AND t.status = 'started_executing'`,
		session, seq)
	if err != nil {
		return nil, err
	}
	return collectStarted(rows, session)
}

// startedRow is what a handler and the worker need of a started task. A payload of
// 8 KiB or more is left out, and the last column says so; see loadPayloads.
var startedRow = startedColumns + `, coalesce(octet_length(t.payload::text) >= 8192, false) AS large`

func collectStarted(rows pgx.Rows, session uuid.UUID) ([]task.Task, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (task.Task, error) {
		t := task.Task{Status: task.Started, WorkerID: session}
		var large bool
		err := row.Scan(targets(&t, startedScans, &large)...)
		if large {
			t.Payload = notLoaded
		}
		return t, err
	})
}
