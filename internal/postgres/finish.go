package postgres

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Finish ends attempts of one session (T3) and answers in order. A failed task
// that may be attempted again becomes submitted, due after its backoff. closed
// are receipts that are no longer needed; they go in the same statement.
//
// wait says whether to wait for rows that others have locked. A statement that
// waits too long is given up, and the ends of all others are committed without
// those; the answer to an end that was skipped is task.ErrLocked. An error
// stands for all of ended. It is safe to call again with any of them, for as long
// as the session lives.
func (db *DB) Finish(
	ctx context.Context, session uuid.UUID, ended []task.Finish, closed task.Closed, wait bool,
) ([]task.Finished, error) {
	in := newFinishColumns(ended)
	out := make(map[task.ID]task.Finished, len(ended))
	all, unlocked := finishAll, finishUnlocked
	if in.counted != nil {
		all, unlocked = finishCounted, finishCountedUnlocked
	}
	query := unlocked
	if wait {
		query = all
	}
	err := db.retry(ctx, "finish tasks", func(ctx context.Context) error {
		err := db.finish(ctx, query, session, in, closed, out)
		if err == nil && len(out) < len(ended) {
			err = db.lookUpEnds(ctx, session, in, out)
		}
		if ctx.Err() != nil {
			query = unlocked
		}
		return err
	})
	if refusal, ok := isData(err); ok && len(ended) == 1 {
		return db.Finish(ctx, session, []task.Finish{db.storable(ended[0], refusal.Message)}, closed, wait)
	}
	if err != nil {
		return nil, err
	}
	answers := make([]task.Finished, len(ended))
	for i, end := range ended {
		answers[i] = out[end.ID]
	}
	return answers, nil
}

// storable is an end without the text that no column can hold. The attempt
// happened and ended, and that is recorded.
func (db *DB) storable(end task.Finish, reason string) task.Finish {
	db.log.Warn("result could not be stored", "task_id", end.ID, "reason", reason)
	bare := task.Finish{ID: end.ID, Attempt: end.Attempt, Counted: end.Counted}
	if end.Failure != nil {
		bare.Failure = &task.Failure{Code: end.Failure.Code, Message: "the message could not be stored: " + reason}
	}
	return bare
}

var (
	finishAll = finishReceipts + finishUpdate + finishReturning

	// finishUnlocked passes by the rows that others have locked.
	finishUnlocked = finishReceipts + `, unlocked AS MATERIALIZED (
			SELECT id FROM tasks_open WHERE id = ANY($2) ORDER BY id FOR UPDATE SKIP LOCKED
		)` + finishUpdate + ` AND t.id IN (SELECT id FROM unlocked)` + finishReturning

	finishReceipts = `
		WITH closed AS (
			DELETE FROM starts WHERE worker_id = $1 AND seq = ANY($7)
		), emptied AS (
			UPDATE starts SET task_ids = '{}' WHERE worker_id = $1 AND seq = ANY($8)
		)`

	finishUpdate = `
		UPDATE tasks t SET
			` + endedAs(`CASE WHEN ended.code IS NULL THEN 'done' ELSE 'failed' END`, `ended.code IS NOT NULL AND `+attemptsLeft, `ended.code`, `ended.message`) + `,
			result = ended.result::json, failure_code = ended.code, failure_message = ended.message
		FROM unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[])
		     AS ended (id, attempt, result, code, message)
		WHERE t.id = ended.id AND t.status = 'started_executing' AND t.worker_id = $1 AND t.attempt = ended.attempt`

	finishReturning = `
		RETURNING t.id, t.status, CASE WHEN t.status = 'submitted' THEN t.due_at - clock_timestamp() END`

	// finishCounted gives back the places of attempts that were counted: those that it
	// ended, and so once.
	finishCounted = finishReceipts + `, finished AS (` + finishUpdate + finishReturning + ` AS delay, t.task_type)` + finishUncount

	finishCountedUnlocked = finishReceipts + `, unlocked AS MATERIALIZED (
			SELECT id FROM tasks_open WHERE id = ANY($2) ORDER BY id FOR UPDATE SKIP LOCKED
		), finished AS (` + finishUpdate + ` AND t.id IN (SELECT id FROM unlocked)` + finishReturning + ` AS delay, t.task_type)` + finishUncount

	finishUncount = `, ended_by_type AS (
			SELECT f.task_type, count(*) AS n
			FROM finished f JOIN unnest($2::uuid[], $9::bool[]) AS c (id, counted) ON c.id = f.id
			WHERE c.counted GROUP BY f.task_type ORDER BY f.task_type
		), uncount AS (
			UPDATE running r SET n = r.n - e.n FROM ended_by_type e WHERE r.worker_id = $1 AND r.task_type = e.task_type
		)
		SELECT id, status, delay FROM finished`
)

func (db *DB) finish(
	ctx context.Context, query string, session uuid.UUID, in finishColumns, closed task.Closed, out map[task.ID]task.Finished,
) error {
	args := []any{session, uuids(in.ids), in.attempts, in.results, in.codes, in.messages, closed.Once, closed.Retried}
	if in.counted != nil {
		args = append(args, in.counted)
	}
	rows, err := db.pool.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return collectFinished(rows, out)
}

// lookUpEnds tells apart what was not ended now. An earlier try may have written
// it although its reply was lost: nobody else writes this session's attempt but
// the reaper, whose mark is worker_lost. Or the attempt is still this session's to
// end, and only its row was locked. What is neither is late.
func (db *DB) lookUpEnds(ctx context.Context, session uuid.UUID, in finishColumns, out map[task.ID]task.Finished) error {
	rows, err := db.pool.Query(ctx, `
		SELECT t.id, t.status, CASE WHEN t.status = 'submitted' THEN t.due_at - clock_timestamp() END
		FROM unnest($2::uuid[], $3::int[]) AS ended (id, attempt)
		JOIN tasks t ON t.id = ended.id
		WHERE t.worker_id = $1 AND t.attempt = ended.attempt AND t.status <> 'deleted'
		      AND (t.status = 'started_executing' OR t.failure_code IS DISTINCT FROM $4)`,
		session, uuids(in.ids), in.attempts, task.WorkerLost)
	if err != nil {
		return err
	}
	return collectFinished(rows, out)
}

func collectFinished(rows pgx.Rows, out map[task.ID]task.Finished) error {
	var id task.ID
	var status task.Status
	var in *time.Duration
	_, err := pgx.ForEachRow(rows, []any{scanUUID(&id), &status, &in}, func() error {
		if status == task.Started {
			out[id] = task.Finished{Err: task.ErrLocked}
		} else {
			out[id] = task.Finished{Status: status, Delay: orZero(in)}
		}
		return nil
	})
	return err
}

// finishColumns are the ends of attempts as the arrays that unnest takes,
// sorted by id: the order in which the rows are locked. A column that holds
// nothing is nil, which unnest takes for as many NULLs as there are ids.
type finishColumns struct {
	ids                      []task.ID
	attempts                 []int32
	results, codes, messages []*string
	counted                  []bool
}

func newFinishColumns(ended []task.Finish) finishColumns {
	ended = slices.SortedFunc(slices.Values(ended), func(a, b task.Finish) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	n := len(ended)
	in := finishColumns{ids: make([]task.ID, n), attempts: make([]int32, n)}
	for i, end := range ended {
		in.ids[i], in.attempts[i] = end.ID, int32(end.Attempt) //nolint:gosec // at most MaxAttemptsLimit
		if end.Result != nil {
			result := string(end.Result)
			put(&in.results, n, i, &result)
		}
		if end.Counted {
			put(&in.counted, n, i, true)
		}
		if end.Failure != nil {
			code := string(end.Failure.Code)
			put(&in.codes, n, i, &code)
			put(&in.messages, n, i, &end.Failure.Message)
		}
	}
	return in
}
