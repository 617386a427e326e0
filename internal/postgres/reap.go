package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Reap ends the sessions whose lease passed at least grace ago, by Postgres'
// clock, and settles what they had running (T4).
func (db *DB) Reap(ctx context.Context, grace time.Duration) (out task.Reaped, err error) {
	err = db.retry(ctx, "reap dead sessions", func(ctx context.Context) error {
		// The cheap look comes first: there is nearly always nothing to do.
		var next *time.Duration
		err := db.pool.QueryRow(ctx, `
			SELECT min(lease_until) + $1 - clock_timestamp() FROM workers WHERE dead_at IS NULL`,
			grace).Scan(&next)
		if err != nil {
			return err
		}
		if next == nil || *next >= 0 {
			out = task.Reaped{Next: next}
			return nil
		}
		out, err = db.bury(ctx, `dead_at IS NULL AND lease_until + $1 < clock_timestamp()`, grace)
		return err
	})
	return out, err
}

// End ends one session at once, for a worker that is about to exit, and
// settles what it leaves behind.
func (db *DB) End(ctx context.Context, session uuid.UUID) (out task.Reaped, err error) {
	err = db.retry(ctx, "end session", func(ctx context.Context) (err error) {
		out, err = db.bury(ctx, `dead_at IS NULL AND id = $1`, session)
		return err
	})
	return out, err
}

// bury marks sessions dead and settles their tasks in one transaction of two
// statements. A start holds its session's row (FOR KEY SHARE) until it has
// committed, so the lock waits for it or passes it by; and the second statement
// has a later snapshot than the lock, so it sees every start that was ever
// permitted. Once the mark is committed no further start can be.
func (db *DB) bury(ctx context.Context, which string, arg any) (out task.Reaped, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH locked AS MATERIALIZED (
				SELECT id FROM workers WHERE `+which+` ORDER BY id FOR UPDATE SKIP LOCKED
			)
			UPDATE workers SET dead_at = clock_timestamp() FROM locked
			WHERE workers.id = locked.id
			RETURNING workers.id`, arg)
		if err != nil {
			return err
		}
		dead, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(dead) == 0 {
			return err
		}
		out, err = settle(ctx, tx, dead)
		return err
	})
	return out, err
}

func settle(ctx context.Context, tx pgx.Tx, dead []uuid.UUID) (task.Reaped, error) {
	out := task.Reaped{Sessions: len(dead)}
	rows, err := tx.Query(ctx, `
		WITH receipt AS (
			DELETE FROM starts WHERE worker_id = ANY($1) RETURNING task_ids
		), running AS MATERIALIZED (
			SELECT DISTINCT id FROM receipt CROSS JOIN unnest(task_ids) AS id ORDER BY id
		)
		UPDATE tasks t SET
			status = CASE WHEN attempt < max_attempts THEN 'submitted' ELSE 'failed' END,
			due_at = CASE WHEN attempt < max_attempts THEN clock_timestamp() ELSE due_at END,
			started_at = CASE WHEN attempt < max_attempts THEN NULL ELSE started_at END,
			finished_at = CASE WHEN attempt < max_attempts THEN NULL ELSE clock_timestamp() END,
			failure_code = $2,
			failure_message = 'the worker''s session ended while the task ran: it had zero or one effects'
		FROM running
		WHERE t.id = running.id AND t.status = 'started_executing' AND t.worker_id = ANY($1)
		RETURNING t.id, t.status`, dead, task.WorkerLost)
	if err != nil {
		return out, fmt.Errorf("settle the tasks of dead sessions: %w", err)
	}
	var id task.ID
	var status task.Status
	_, err = pgx.ForEachRow(rows, []any{into(&id), &status}, func() error {
		if status == task.Submitted {
			out.Retried = append(out.Retried, task.Wait{ID: id})
		} else {
			out.Failed++
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("settle the tasks of dead sessions: %w", err)
	}
	return out, nil
}
