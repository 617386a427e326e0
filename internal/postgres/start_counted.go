package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// StartCounted is Start for tasks of one type that has a max_running: it starts as many
// as there is room for, the longest due first. full is whether there was not room for
// all of them.
//
// It is a transaction of two statements, sent at once. The first waits for the other starts
// of the type, whichever worker's; the second has a later snapshot, and so adds up what
// all of them have started. What ends meanwhile makes room and is not seen, which is
// safe. A count is the session's own row: it goes with the session.
func (db *DB) StartCounted(
	ctx context.Context, session uuid.UUID, seq int64, taskType string, ids []task.ID,
) (started []task.Task, full, retried bool, err error) {
	tries := 0
	err = db.retry(ctx, "start tasks of a type with max_running", func(ctx context.Context) (err error) {
		tries++
		started, full, err = db.startCounted(ctx, session, seq, taskType, ids)
		if isUniqueViolation(err, "starts_pkey") {
			started, err = db.receipt(ctx, session, seq)
		}
		return err
	})
	if err == nil {
		started, err = db.loadPayloads(ctx, session, started)
	}
	return started, full, tries > 1, err
}

const lockType = `SELECT FROM types WHERE name = $1 FOR NO KEY UPDATE`

const (
	// missedRuns is whether a task still runs that was not counted when it started.
	missedRuns = `EXISTS (
			SELECT FROM tasks_open t WHERE t.id = u.task_id AND t.attempt = u.attempt AND t.status = 'started_executing')`

	// roomOfType is how many tasks more may run of the row of types.
	roomOfType = `(coalesce(types.max_running, 1 << 30)
			- (SELECT coalesce(sum(n), 0) FROM running WHERE task_type = types.name)
			- (SELECT count(*) FROM uncounted u WHERE u.task_type = types.name AND ` + missedRuns + `))::int`
)

// What others have locked is passed by: the type's row is held, and with it all starts of
// the type.
var startCounted = startSession + `, held AS MATERIALIZED (
			SELECT name, expires_in FROM types WHERE name = $4
		), chosen AS MATERIALIZED (
			SELECT id FROM tasks_open t
			WHERE id = ANY($3) AND status = 'submitted' AND due_at <= clock_timestamp() AND ` + inTime + ` AND task_type = $4
			ORDER BY due_at, id
			LIMIT greatest(0, coalesce((SELECT ` + roomOfType + ` FROM types WHERE name = $4 AND NOT paused), 0))
			FOR UPDATE SKIP LOCKED
		), forgotten AS (
			DELETE FROM uncounted u WHERE u.task_type = $4 AND NOT ` + missedRuns + `
		)` + startSet + `
			WHERE session.live AND t.id = ANY(ARRAY(SELECT id FROM chosen))
			      AND t.status = 'submitted' AND t.due_at <= clock_timestamp() AND ` + inTime + `
			RETURNING ` + startedRow + `
		), counted AS (
			INSERT INTO running AS r (worker_id, task_type, n) SELECT $1, $4, count(*) FROM started HAVING count(*) > 0
			ON CONFLICT (task_type, worker_id) DO UPDATE SET n = r.n + excluded.n
		), receipt AS (
			INSERT INTO starts (worker_id, seq, task_ids, task_type)
			SELECT id, $2, (SELECT coalesce(array_agg(id), '{}') FROM started), $4 FROM session
		)
		SELECT * FROM started`

// isFull asks, later in the same transaction, whether room was what kept tasks back.
var isFull = `WITH held AS MATERIALIZED (SELECT name, expires_in FROM types WHERE name = $2)
	SELECT EXISTS (
		SELECT FROM tasks_open t WHERE id = ANY($1) AND status = 'submitted' AND due_at <= clock_timestamp() AND ` + inTime + `)`

func (db *DB) startCounted(
	ctx context.Context, session uuid.UUID, seq int64, taskType string, ids []task.ID,
) (started []task.Task, full bool, err error) {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(lockType, taskType)
	batch.Queue(startCounted, session, seq, uuids(ids), taskType)
	batch.Queue(isFull, uuids(ids), taskType)
	batch.Queue("COMMIT")
	results := db.pool.SendBatch(ctx, &batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return nil, false, err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, false, err
	}
	if started, err = collectStarted(rows, session); err != nil {
		return nil, false, err
	}
	if err := results.QueryRow().Scan(&full); err != nil {
		return nil, false, err
	}
	_, err = results.Exec()
	return started, full, err
}

// Rooms is how many tasks more may run of each type that has a max_running.
func (db *DB) Rooms(ctx context.Context) (rooms map[string]int, err error) {
	err = db.retryRead(ctx, "count the running tasks of limited types", func(ctx context.Context) error {
		rooms = map[string]int{}
		rows, err := db.pool.Query(ctx, `
			SELECT name, `+roomOfType+` FROM types WHERE max_running IS NOT NULL`)
		if err != nil {
			return err
		}
		var name string
		var room int
		_, err = pgx.ForEachRow(rows, []any{&name, &room}, func() error {
			rooms[name] = room
			return nil
		})
		return err
	})
	return rooms, err
}
