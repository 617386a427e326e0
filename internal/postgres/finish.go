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
// that may be attempted again becomes submitted, due after a pause that doubles
// with each attempt from one second to one hour. closed are the receipts whose
// tasks have now all ended; they are removed in the same statement.
func (db *DB) Finish(ctx context.Context, session uuid.UUID, ended []task.Finish, closed []int64) ([]task.Finished, error) {
	in := newFinishColumns(ended)
	out := make(map[task.ID]task.Finished, len(ended))
	tries := 0
	err := db.retry(ctx, "finish tasks", func(ctx context.Context) error {
		tries++
		if err := db.finish(ctx, session, in, closed, out); err != nil {
			return err
		}
		if tries > 1 && len(out) < len(ended) {
			return db.finishedBefore(ctx, session, in, out)
		}
		return nil
	})
	if refusal, ok := isData(err); ok {
		return db.finishApart(ctx, session, ended, closed, refusal.Message)
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

// finishApart isolates an end that no column can hold, so that it does not
// fail its neighbours. The attempt happened and ended, so that is recorded
// without the offending text.
func (db *DB) finishApart(
	ctx context.Context, session uuid.UUID, ended []task.Finish, closed []int64, reason string,
) ([]task.Finished, error) {
	if len(ended) == 1 {
		end := task.Finish{ID: ended[0].ID, Attempt: ended[0].Attempt}
		if failure := ended[0].Failure; failure != nil {
			end.Failure = &task.Failure{Code: failure.Code, Message: "the message could not be stored: " + reason}
		}
		db.log.Warn("result could not be stored", "task_id", end.ID, "reason", reason)
		return db.Finish(ctx, session, []task.Finish{end}, closed)
	}
	half := len(ended) / 2
	left, err := db.Finish(ctx, session, ended[:half], nil)
	if err != nil {
		return nil, err
	}
	right, err := db.Finish(ctx, session, ended[half:], closed)
	return append(left, right...), err
}

func (db *DB) finish(
	ctx context.Context, session uuid.UUID, in finishColumns, closed []int64, out map[task.ID]task.Finished,
) error {
	rows, err := db.pool.Query(ctx, `
		WITH closed AS (
			DELETE FROM starts WHERE worker_id = $1 AND seq = ANY($7)
		)
		UPDATE tasks t SET
			status = CASE WHEN ended.code IS NULL THEN 'done' WHEN t.attempt < t.max_attempts THEN 'submitted' ELSE 'failed' END,
			due_at = CASE WHEN ended.code IS NOT NULL AND t.attempt < t.max_attempts
				THEN clock_timestamp() + make_interval(secs => least(3600, 2 ^ (t.attempt - 1))) ELSE t.due_at END,
			started_at = CASE WHEN ended.code IS NOT NULL AND t.attempt < t.max_attempts THEN NULL ELSE t.started_at END,
			finished_at = CASE WHEN ended.code IS NOT NULL AND t.attempt < t.max_attempts THEN NULL ELSE clock_timestamp() END,
			result = ended.result::jsonb, failure_code = ended.code, failure_message = ended.message
		FROM unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[])
		     AS ended (id, attempt, result, code, message)
		WHERE t.id = ended.id AND t.status = 'started_executing' AND t.worker_id = $1 AND t.attempt = ended.attempt
		RETURNING t.id, t.status, CASE WHEN t.status = 'submitted' THEN t.due_at - clock_timestamp() END`,
		session, uuids(in.ids), in.attempts, in.results, in.codes, in.messages, closed)
	if err != nil {
		return err
	}
	return collectFinished(rows, out)
}

// finishedBefore finds what an earlier try of the same call wrote although its
// reply was lost: nobody else writes this session's attempt but the reaper,
// whose mark is worker_lost.
func (db *DB) finishedBefore(ctx context.Context, session uuid.UUID, in finishColumns, out map[task.ID]task.Finished) error {
	rows, err := db.pool.Query(ctx, `
		SELECT t.id, t.status, CASE WHEN t.status = 'submitted' THEN t.due_at - clock_timestamp() END
		FROM unnest($2::uuid[], $3::int[]) AS ended (id, attempt)
		JOIN tasks t ON t.id = ended.id
		WHERE t.worker_id = $1 AND t.attempt = ended.attempt AND t.status IN ('done', 'failed', 'submitted')
		      AND t.failure_code IS DISTINCT FROM $4`,
		session, uuids(in.ids), in.attempts, task.WorkerLost)
	if err != nil {
		return err
	}
	return collectFinished(rows, out)
}

func collectFinished(rows pgx.Rows, out map[task.ID]task.Finished) error {
	var id task.ID
	var answer task.Finished
	var in *time.Duration
	_, err := pgx.ForEachRow(rows, []any{into(&id), &answer.Status, &in}, func() error {
		answer.In = orZero(in)
		out[id] = answer
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
		if end.Failure != nil {
			code := string(end.Failure.Code)
			put(&in.codes, n, i, &code)
			put(&in.messages, n, i, &end.Failure.Message)
		}
	}
	return in
}

// put sets one value of a column of n, and makes the column for the first.
func put[T any](column *[]T, n, i int, value T) {
	if *column == nil {
		*column = make([]T, n)
	}
	(*column)[i] = value
}
