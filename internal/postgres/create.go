package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/timewheel/timewheel/internal/task"
)

// Create commits new tasks (T0) and returns one answer a draft, in order. A
// draft whose id or key exists already is answered with the task that it names.
func (db *DB) Create(ctx context.Context, drafts []task.Draft) ([]task.Created, error) {
	var out []task.Created
	err := db.retry(ctx, "create tasks", func(ctx context.Context) (err error) {
		out, err = db.create(ctx, drafts)
		return err
	})
	refusal, data := isData(err)
	switch {
	case !data:
		return out, err
	case len(drafts) == 1:
		return []task.Created{{Err: &task.RejectedError{Reason: refusal.Message}}}, nil
	}
	// One value that no column can hold must not fail its neighbours.
	half := len(drafts) / 2
	left, err := db.Create(ctx, drafts[:half])
	if err != nil {
		return nil, err
	}
	right, err := db.Create(ctx, drafts[half:])
	if err != nil {
		return nil, err
	}
	return append(left, right...), nil
}

// create is prepared for drafts that are there already if they have keys. Their
// ids alone are new, unless this is another try, and to trust in that costs a
// quarter less.
func (db *DB) create(ctx context.Context, drafts []task.Draft) ([]task.Created, error) {
	in := newDraftColumns(drafts)
	if in.keys == nil {
		out, err := db.insert(ctx, drafts, in)
		if !isConflict(err) {
			return out, err
		}
	}
	return db.createApart(ctx, drafts, in)
}

// insertDrafts takes the columns of some drafts, in the order of their args.
const insertDrafts = `
	INSERT INTO tasks (id, task_type, execution_time, due_at, payload, max_attempts, idempotency_key)
	SELECT id, task_type, execution_time, execution_time, payload::jsonb, max_attempts, key
	FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::int[], $6::text[])
	     AS draft (id, task_type, execution_time, payload, max_attempts, key)`

// insert commits all drafts or none: one that is there already undoes the
// statement.
func (db *DB) insert(ctx context.Context, drafts []task.Draft, in draftColumns) ([]task.Created, error) {
	var now time.Time
	err := db.pool.QueryRow(ctx, `WITH inserted AS (`+insertDrafts+`) SELECT clock_timestamp()`, in.args()...).Scan(&now)
	if err != nil {
		return nil, err
	}
	out := make([]task.Created, len(drafts))
	for i := range drafts {
		out[i].Wait = task.Wait{ID: drafts[i].ID, In: drafts[i].ExecutionTime.Sub(now)}
	}
	return out, nil
}

// createApart commits those of the drafts that are new, and resolves the others.
func (db *DB) createApart(ctx context.Context, drafts []task.Draft, in draftColumns) ([]task.Created, error) {
	rows, err := db.pool.Query(ctx, insertDrafts+` ON CONFLICT DO NOTHING RETURNING id, created_at`, in.args()...)
	if err != nil {
		return nil, err
	}
	createdAt := make(map[task.ID]time.Time, len(drafts))
	var id task.ID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{into(&id), &at}, func() error {
		createdAt[id] = at
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]task.Created, len(drafts))
	var conflicting []int
	for i := range drafts {
		draft := &drafts[i]
		at, inserted := createdAt[draft.ID]
		if !inserted {
			conflicting = append(conflicting, i)
			continue
		}
		out[i] = task.Created{Wait: task.Wait{ID: draft.ID, In: draft.ExecutionTime.Sub(at)}}
	}
	if len(conflicting) == 0 {
		return out, nil
	}
	return out, db.resolve(ctx, drafts, conflicting, out)
}

// resolve answers drafts whose id or key was there already: by an earlier try
// of this very call, or by a client that repeats itself.
func (db *DB) resolve(ctx context.Context, drafts []task.Draft, conflicting []int, out []task.Created) error {
	some := make([]task.Draft, len(conflicting))
	for i, at := range conflicting {
		some[i] = drafts[at]
	}
	found, err := db.lookUp(ctx, newDraftColumns(some))
	if err != nil {
		return err
	}
	if len(found) < len(conflicting) {
		// The task that stood in the way was removed in between.
		return fmt.Errorf("resolve conflicting drafts: %w", errVanished)
	}
	for i, at := range conflicting {
		out[at] = found[i]
	}
	return nil
}

// lookUp answers those drafts whose id or key is there, by their index. Where
// the key names a task that differs, the answer is task.ErrKeyReused.
func (db *DB) lookUp(ctx context.Context, in draftColumns) (map[int]task.Created, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT draft.n - 1, t.id, t.due_at, clock_timestamp(),
		       (t.task_type, t.execution_time, t.max_attempts) = (draft.task_type, draft.execution_time, draft.max_attempts)
		       AND t.payload IS NOT DISTINCT FROM draft.payload::jsonb
		FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::int[], $6::text[])
		     WITH ORDINALITY AS draft (id, task_type, execution_time, payload, max_attempts, key, n)
		CROSS JOIN LATERAL (
			SELECT * FROM tasks WHERE tasks.id = draft.id
			UNION ALL
			SELECT * FROM tasks WHERE idempotency_key = draft.key AND tasks.id <> draft.id
			LIMIT 1) t`,
		in.args()...)
	if err != nil {
		return nil, err
	}
	found := map[int]task.Created{}
	var i int
	var id task.ID
	var due, now time.Time
	var same bool
	_, err = pgx.ForEachRow(rows, []any{&i, into(&id), &due, &now, &same}, func() error {
		if same {
			found[i] = task.Created{Wait: task.Wait{ID: id, In: due.Sub(now)}}
		} else {
			found[i] = task.Created{Err: task.ErrKeyReused}
		}
		return nil
	})
	return found, err
}

// draftColumns are drafts as the arrays that unnest takes. Payloads or keys that
// are all missing are nil, which unnest takes for as many NULLs as there are ids.
type draftColumns struct {
	ids      []pgtype.UUID
	types    []string
	times    []time.Time
	payloads [][]byte // nil is NULL
	attempts []int32
	keys     []*string
}

func newDraftColumns(drafts []task.Draft) draftColumns {
	n := len(drafts)
	in := draftColumns{
		ids: make([]pgtype.UUID, n), types: make([]string, n), times: make([]time.Time, n), attempts: make([]int32, n),
	}
	for i := range drafts {
		draft := &drafts[i]
		in.ids[i] = pgtype.UUID{Bytes: draft.ID, Valid: true}
		in.types[i], in.times[i] = draft.Type, draft.ExecutionTime
		in.attempts[i] = int32(draft.MaxAttempts) //nolint:gosec // at most MaxAttemptsLimit
		if draft.Payload != nil {
			put(&in.payloads, n, i, []byte(draft.Payload))
		}
		if draft.Key != "" {
			put(&in.keys, n, i, &draft.Key)
		}
	}
	return in
}

func (in draftColumns) args() []any {
	return []any{in.ids, in.types, in.times, in.payloads, in.attempts, in.keys}
}
