package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// reapTimeout bounds one Reap. Its statements end many tasks, and are not tried
// again within the call.
const reapTimeout = 30 * time.Second

// Reap ends the sessions whose lease passed at least grace ago, by Postgres'
// clock, and settles what they had running (T4). judge is the session of the
// caller, and lease the time of its lease.
//
// After an outage of Postgres the leases of live workers have passed too. What
// tells them from the dead is that they renew within moments, so the judge must
// have been able to renew for that long: its last renewal is less than half a
// lease old, and for half a lease and a second no two of them were further apart.
// A live neighbour needs less than that: a heartbeat that hangs, a pause, and one
// that succeeds. The guard is in the statement, and one whose outcome is not
// known is not tried again here: a copy that arrives after the outage finds a
// judge in doubt and ends nothing.
func (db *DB) Reap(ctx context.Context, judge uuid.UUID, lease, grace time.Duration) (out task.Reaped, err error) {
	ctx, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	// The cheap look comes first: there is nearly always nothing to do.
	var next *time.Duration
	err = db.vital.QueryRow(ctx, `
		SELECT min(lease_until) + $1 - clock_timestamp() FROM workers WHERE dead_at IS NULL`,
		grace).Scan(&next)
	if err == nil && (next == nil || *next >= 0) {
		return task.Reaped{Next: next}, nil
	}
	if err == nil {
		for tries := 0; tries < maxMoved; tries++ {
			out, err = db.expireSessions(ctx, leaseExpired, grace, judge, lease/2, lease/2+time.Second)
			if !isMoved(err) {
				break
			}
		}
	}
	if err != nil {
		return out, fmt.Errorf("reap dead sessions: %w", err)
	}
	return out, nil
}

// leaseExpired are the sessions that a steady judge finds past their lease. Both are
// seen at the moment at which the statement arrived: should the server be paused
// in the middle of it, no lease passes meanwhile.
const leaseExpired = `dead_at IS NULL AND lease_until + $1 < statement_timestamp() AND EXISTS (
	SELECT FROM workers judge
	WHERE judge.id = $2 AND judge.dead_at IS NULL AND judge.lease_until > statement_timestamp()
	      AND judge.renewed_at > statement_timestamp() - $3::interval
	      AND judge.steady_since < statement_timestamp() - $4::interval)`

// End ends one session at once, for a worker that is about to exit, and
// settles what it leaves behind.
func (db *DB) End(ctx context.Context, session uuid.UUID) (out task.Reaped, err error) {
	err = db.retry(ctx, "end session", func(ctx context.Context) (err error) {
		out, err = db.expireSessions(ctx, `dead_at IS NULL AND id = $1`, session)
		return err
	})
	return out, err
}

// expireSessions marks sessions dead, settles their tasks and drops what they counted and were to cancel, in
// one transaction. A start holds its session's row (FOR KEY SHARE) until it has
// committed, so the lock waits for it or passes it by; and the second statement
// has a later snapshot than the lock, so it sees every start that was ever
// permitted. Once the mark is committed no further start can be.
func (db *DB) expireSessions(ctx context.Context, which string, args ...any) (out task.Reaped, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH locked AS MATERIALIZED (
				SELECT id FROM workers WHERE `+which+` ORDER BY id FOR UPDATE SKIP LOCKED
			)
			UPDATE workers SET dead_at = clock_timestamp() FROM locked
			WHERE workers.id = locked.id
			RETURNING workers.id`, args...)
		if err != nil {
			return err
		}
		dead, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(dead) == 0 {
			return err
		}
		if out, err = settle(ctx, tx, dead); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			WITH cancelled AS (
				DELETE FROM cancels WHERE worker_id = ANY($1)
			)
			DELETE FROM running WHERE worker_id = ANY($1)`, dead)
		return err
	})
	return out, err
}

const lostMessage = `'the worker''s session ended while the task ran: it had zero or one effects'::text`

func settle(ctx context.Context, tx pgx.Tx, dead []uuid.UUID) (task.Reaped, error) {
	out := task.Reaped{Sessions: len(dead)}
	rows, err := tx.Query(ctx, `
		WITH receipt AS (
			DELETE FROM starts WHERE worker_id = ANY($1) RETURNING task_ids
		), running AS MATERIALIZED (
			SELECT DISTINCT id FROM receipt CROSS JOIN unnest(task_ids) AS id ORDER BY id
		)
		UPDATE tasks t SET
			`+endedAs(`'failed'`, attemptsLeft, `$2::text`, lostMessage)+`,
			failure_code = $2::text, failure_message = `+lostMessage+`
		FROM running
		WHERE t.id = running.id AND t.status = 'started_executing' AND t.worker_id = ANY($1)
		RETURNING t.id, t.task_type, t.status, t.due_at - clock_timestamp()`, dead, task.WorkerLost)
	if err != nil {
		return out, fmt.Errorf("settle the tasks of dead sessions: %w", err)
	}
	var again task.DueIn
	var status task.Status
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&again.ID), &again.Type, &status, &again.Delay}, func() error {
		if status == task.Submitted {
			out.Retried = append(out.Retried, again)
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
