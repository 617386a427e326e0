package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// numberOf is the number of the create that made a task, which stands at the
// end of the URL that the task calls.
const numberOf = `coalesce(substring(payload->>'url' FROM '[0-9]+$')::bigint, 0)`

// Dump writes what both stores hold into the history; Postgres as of one
// moment, since tasks that are due later may go on meanwhile.
func (r *Rig) Dump(ctx context.Context) error {
	err := pgx.BeginTxFunc(ctx, r.DB, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		return r.dumpTasks(ctx, tx)
	})
	return errors.Join(err, r.dumpRing(ctx))
}

func (r *Rig) dumpTasks(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT id, `+numberOf+`, task_type, status, execution_time, attempt, max_attempts, coalesce(failure_code, ''), created_at
		FROM tasks ORDER BY id`)
	if err != nil {
		return fmt.Errorf("dump the tasks: %w", err)
	}
	var row history.Row
	_, err = pgx.ForEachRow(rows, []any{
		&row.ID, &row.N, &row.Type, &row.Status, &row.Due, &row.Attempt, &row.MaxAttempts, &row.Failure, &row.Created,
	}, func() error {
		row.Due = row.Due.UTC()
		r.Record.Write(history.RowsFile, row)
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump the tasks: %w", err)
	}
	rows, err = tx.Query(ctx, `
		SELECT seq, task, old_status, new_status, attempt, max_attempts,
		       coalesce(worker, '00000000-0000-0000-0000-000000000000'), session_dead, failure, due, at
		FROM audit ORDER BY seq`)
	if err != nil {
		return fmt.Errorf("dump the audit: %w", err)
	}
	var t history.Transition
	_, err = pgx.ForEachRow(rows, []any{
		&t.Seq, &t.Task, &t.From, &t.To, &t.Attempt, &t.Max, &t.Worker, &t.SessionDead, &t.Failure, &t.Due, &t.At,
	}, func() error {
		r.Record.Write(history.TransitionsFile, t)
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump the audit: %w", err)
	}
	return r.dumpSessions(ctx, tx)
}

func (r *Rig) dumpSessions(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT id, host FROM workers ORDER BY started_at`)
	if err != nil {
		return fmt.Errorf("dump the sessions: %w", err)
	}
	var s history.Session
	_, err = pgx.ForEachRow(rows, []any{&s.ID, &s.Host}, func() error {
		r.Record.Write(history.SessionsFile, s)
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump the sessions: %w", err)
	}
	return nil
}

func (r *Rig) dumpRing(ctx context.Context) error {
	due, err := r.Keys(ctx, "timewheel:{*}:due")
	if err != nil {
		return err
	}
	claimed, err := r.Keys(ctx, "timewheel:{*}:claimed")
	if err != nil {
		return err
	}
	for _, key := range slices.Concat(due, claimed) {
		members, err := r.Ring.ZRangeWithScores(ctx, key, 0, -1).Result()
		if err != nil {
			return fmt.Errorf("dump redis: %w", err)
		}
		for _, m := range members {
			r.Record.Write(history.RingFile, history.RingEntry{Key: key, Member: fmt.Sprint(m.Member), Score: m.Score})
		}
	}
	return nil
}

// Drained waits until nothing is open that is due by now, or ctx ends, and says
// how much is.
func (r *Rig) Drained(ctx context.Context) (open int, err error) {
	now := time.Now()
	for {
		err := r.DB.QueryRow(context.WithoutCancel(ctx), `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < $1`, now).Scan(&open)
		if err != nil {
			return 0, fmt.Errorf("count what is open: %w", err)
		}
		if open == 0 {
			return 0, nil
		}
		select {
		case <-ctx.Done():
			return open, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}
