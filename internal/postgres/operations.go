package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/timewheel/timewheel/internal/task"
)

const operationColumns = `o.id, o.key, o.action, o.filter, o.execution_time, o.shift, o.dry_run, o.state, o.before, o.done, o.skipped,
	o.remaining, o.samples, o.failure, o.created_at, o.started_at, o.finished_at, o.types, o.made_by`

func scanOperation(row pgx.Row) (o task.Operation, err error) {
	var filter filterRow
	err = row.Scan(scanUUID(&o.ID), (*zeronull.Text)(&o.Key), &o.Action, &filter, &o.ExecutionTime, &o.Shift, &o.DryRun, &o.State,
		scanUUID(&o.Before), &o.Done, &o.Skipped, &o.Left, &o.Samples, (*zeronull.Text)(&o.Failure), &o.CreatedAt, &o.StartedAt, &o.FinishedAt,
		&o.Reach, (*zeronull.UUID)(&o.MadeBy))
	o.Filter = filter.filter()
	return o, err
}

// filterRow is a filter as it is stored.
type filterRow struct {
	Status        task.Status `json:"status,omitempty"`
	Type          string      `json:"type,omitempty"`
	Labels        task.Labels `json:"label,omitempty"`
	DueAfter      *time.Time  `json:"due_after,omitempty"`
	DueBefore     *time.Time  `json:"due_before,omitempty"`
	CreatedAfter  *time.Time  `json:"created_after,omitempty"`
	CreatedBefore *time.Time  `json:"created_before,omitempty"`
}

func rowOf(f *task.Filter) filterRow {
	return filterRow{f.Status, f.Type, f.Labels, f.Due.Start, f.Due.End, f.Created.Start, f.Created.End}
}

func (r filterRow) filter() task.Filter {
	return task.Filter{
		Status: r.Status, Type: r.Type, Labels: r.Labels,
		Due: task.Window{Start: r.DueAfter, End: r.DueBefore}, Created: task.Window{Start: r.CreatedAfter, End: r.CreatedBefore},
	}
}

// A late copy finds the id. So many are looked at, at most, as there may be.
const createOperation = `
	INSERT INTO operations (id, key, action, filter, execution_time, shift, dry_run, types, made_by)
	SELECT $1::uuid, $2::text, $3::text, $4::jsonb, $5::timestamptz, $6::interval, $7::boolean, $8::text[], $9::uuid
	WHERE (SELECT count(*) FROM (SELECT FROM operations WHERE finished_at IS NULL LIMIT $10) active) < $10
	ON CONFLICT DO NOTHING`

// CreateOperation stores an operation for later. If its key names one already that asks for the same,
// it returns that. Errors are task.ErrKeyReused, task.ErrTooManyOperations, task.ErrUnavailable,
// task.ErrUnknownOutcome and *task.RejectedError.
func (db *DB) CreateOperation(ctx context.Context, o task.Operation) (task.Operation, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	var stored task.Operation
	args := []any{o.ID, nullIfEmpty(o.Key), o.Action, rowOf(&o.Filter), o.ExecutionTime, o.Shift, o.DryRun, o.Reach}
	err := db.retry(ctx, "create operation", func(ctx context.Context) error {
		var batch pgx.Batch
		same := false
		batch.Queue(createOperation, append(args, zeronull.UUID(o.MadeBy), task.MaxOperations)...)
		batch.Queue(`
			SELECT `+operationColumns+` FROM operations o
			WHERE o.id = $1 OR o.key = $2 ORDER BY o.id = $1 DESC LIMIT 1`, args[:2]...).QueryRow(func(row pgx.Row) (err error) {
			stored, err = scanOperation(row)
			return err
		})
		batch.Queue(`
			SELECT EXISTS (SELECT FROM operations o WHERE (o.id = $1 OR o.key = $2)
			       AND (o.action, o.filter, o.execution_time, o.shift, o.dry_run, o.types) IS NOT DISTINCT FROM
			           ($3::text, $4::jsonb, $5::timestamptz, $6::interval, $7::boolean, $8::text[]))`, args...).
			QueryRow(func(row pgx.Row) error { return row.Scan(&same) })
		err := db.pool.SendBatch(ctx, &batch).Close()
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return task.ErrTooManyOperations
		case err == nil && !same:
			return task.ErrKeyReused
		}
		return err
	})
	if refusal, data := isData(err); data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	return stored, err
}

// GetOperation reads one. The error is task.ErrNoSuchOperation or task.ErrUnavailable.
func (db *DB) GetOperation(ctx context.Context, id uuid.UUID) (task.Operation, error) {
	all, err := db.readOperations(ctx, `WHERE o.id = $1`, id)
	if err == nil && len(all) == 0 {
		err = task.ErrNoSuchOperation
	}
	if err != nil {
		return task.Operation{}, err
	}
	return all[0], nil
}

// Operations reads those before an id, newest first, that are within these prefixes of types, see
// task.Operation.Within.
func (db *DB) Operations(ctx context.Context, before uuid.UUID, limit int, types []string) ([]task.Operation, error) {
	return db.readOperations(ctx, `WHERE o.id < $1 AND `+operationWithin+` ORDER BY o.id DESC LIMIT $2`, before, limit, types)
}

// operationWithin is task.Operation.Within.
const operationWithin = `($3::text[] IS NULL OR CASE
		WHEN o.filter ? 'type' THEN EXISTS (SELECT FROM unnest($3::text[]) p WHERE starts_with(o.filter->>'type', p))
		ELSE o.types IS NOT NULL AND NOT EXISTS (
			SELECT FROM unnest(o.types) own WHERE NOT EXISTS (SELECT FROM unnest($3::text[]) p WHERE starts_with(own, p))) END)`

// keyIsGood is that the key which asked for an operation o has not been revoked meanwhile.
const keyIsGood = `(o.made_by IS NULL OR EXISTS (
			SELECT FROM keys k WHERE k.id = o.made_by AND k.revoked_at IS NULL AND coalesce(k.expires_at > clock_timestamp(), true)))`

// ActiveOperations reads those that have not ended, oldest first. Those whose key is good no more
// it stops.
func (db *DB) ActiveOperations(ctx context.Context) ([]task.Operation, error) {
	err := db.retry(ctx, "stop operations of revoked keys", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `
			UPDATE operations o SET state = 'stopped', finished_at = clock_timestamp(), failure = 'the key that asked for it was revoked or has expired'
			WHERE o.finished_at IS NULL AND NOT `+keyIsGood)
		return err
	})
	if err != nil {
		return nil, err
	}
	return db.readOperations(ctx, `WHERE o.finished_at IS NULL ORDER BY o.id`)
}

func (db *DB) readOperations(ctx context.Context, where string, args ...any) (all []task.Operation, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "read operations", func(ctx context.Context) error {
		rows, err := db.reads.Query(ctx, `SELECT `+operationColumns+` FROM operations o `+where, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (task.Operation, error) { return scanOperation(row) })
		return err
	})
	return all, err
}

// StopOperation ends an operation, unless it has ended, and returns it. A page that is under way
// holds the row: this waits until it is committed, and what comes later finds the operation
// ended. Errors are task.ErrNoSuchOperation, task.ErrUnavailable and task.ErrUnknownOutcome.
func (db *DB) StopOperation(ctx context.Context, id uuid.UUID) (stopped task.Operation, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	err = db.retry(ctx, "stop operation", func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(`
			UPDATE operations SET state = 'stopped', finished_at = clock_timestamp()
			WHERE id = $1 AND finished_at IS NULL`, id)
		batch.Queue(`SELECT `+operationColumns+` FROM operations o WHERE o.id = $1`, id).QueryRow(func(row pgx.Row) (err error) {
			stopped, err = scanOperation(row)
			return err
		})
		err := db.pool.SendBatch(ctx, &batch).Close()
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNoSuchOperation
		}
		return err
	})
	return stopped, err
}

// failOperation ends an operation that the server refuses to carry out, where it stands.
func (db *DB) failOperation(ctx context.Context, o *task.Operation, refused error) error {
	return db.retry(ctx, "fail operation", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `
			UPDATE operations SET state = 'failed', finished_at = clock_timestamp(), failure = $3
			WHERE id = $1 AND before = $2 AND finished_at IS NULL`, o.ID, o.Before, "the store refused a page: "+reasonOf(refused))
		return err
	})
}

// ForgetOperations deletes operations that ended more than keep ago, at most limit.
func (db *DB) ForgetOperations(ctx context.Context, keep time.Duration, limit int) error {
	return db.retry(ctx, "forget operations", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `
			DELETE FROM operations WHERE id = ANY(ARRAY(
				SELECT id FROM operations WHERE finished_at < clock_timestamp() - $1::interval ORDER BY finished_at LIMIT $2))`, keep, limit)
		return err
	})
}
