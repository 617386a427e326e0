package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/timewheel/timewheel/internal/task"
)

// Create commits new tasks (T0) and answers each draft by itself, in order: what
// was committed is never told to have failed with its neighbours. A draft whose id
// or key exists already is answered with the task that it names, or with
// task.ErrKeyReused or task.ErrDeleted. Other errors are task.ErrUnavailable,
// task.ErrUnknownOutcome and *task.RejectedError.
func (db *DB) Create(ctx context.Context, drafts []task.Draft) []task.Created {
	c := creation{drafts: drafts, out: make([]task.Created, len(drafts)), left: make([]int, len(drafts))}
	for i := range drafts {
		c.left[i] = i
	}
	db.create(ctx, &c)
	return c.out
}

// creation is a call of Create on its way: the answers that are known, and the
// drafts that are left.
type creation struct {
	drafts []task.Draft
	out    []task.Created
	left   []int
}

// some are the drafts that are left.
func (c *creation) some() []task.Draft {
	if len(c.left) == len(c.drafts) {
		return c.drafts
	}
	some := make([]task.Draft, len(c.left))
	for i, at := range c.left {
		some[i] = c.drafts[at]
	}
	return some
}

// answer notes the answers to those of some that have one.
func (c *creation) answer(answers map[int]task.Created) {
	var left []int
	for i, at := range c.left {
		if answer, known := answers[i]; known {
			c.out[at] = answer
		} else {
			left = append(left, at)
		}
	}
	c.left = left
}

// create answers all that is left.
func (db *DB) create(ctx context.Context, c *creation) {
	err := db.retry(ctx, "create tasks", func(ctx context.Context) error { return db.tryCreate(ctx, c) })
	if err == nil {
		return
	}
	refusal, data := isData(err)
	if data && len(c.left) > 1 {
		// One value that no column can hold must not fail its neighbours.
		half := len(c.left) / 2
		db.create(ctx, &creation{drafts: c.drafts, out: c.out, left: c.left[:half]})
		db.create(ctx, &creation{drafts: c.drafts, out: c.out, left: c.left[half:]})
		return
	}
	if data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	for _, at := range c.left {
		c.out[at].Err = err
	}
}

// tryCreate is prepared for drafts that are there already if they have keys. Their
// ids alone are new, unless this is another try, and to trust in that costs a
// quarter less.
func (db *DB) tryCreate(ctx context.Context, c *creation) error {
	drafts := c.some()
	in := newDraftColumns(drafts)
	if in.keys == nil {
		now, err := db.insert(ctx, in)
		if err == nil {
			for i, at := range c.left {
				c.out[at] = createdAt(&drafts[i], now)
			}
			c.left = nil
		}
		if !isConflict(err) {
			return err
		}
	}
	inserted, err := db.insertNew(ctx, drafts, in)
	if err != nil {
		return err
	}
	c.answer(inserted)
	if len(c.left) == 0 {
		return nil
	}
	// The others were there already: by an earlier try of this very call, or by a
	// client that repeats itself.
	found, err := db.lookUp(ctx, c.some())
	if err != nil {
		return err
	}
	c.answer(found)
	if len(c.left) > 0 {
		// The task that stood in the way was removed in between.
		return fmt.Errorf("resolve conflicting drafts: %w", errVanished)
	}
	return nil
}

func createdAt(draft *task.Draft, now time.Time) task.Created {
	return task.Created{DueIn: task.DueIn{ID: draft.ID, Delay: draft.ExecutionTime.Sub(now)}}
}

// insertDrafts takes the columns of some drafts, in the order of their args.
const insertDrafts = `
	INSERT INTO tasks (id, task_type, execution_time, due_at, payload, max_attempts, idempotency_key)
	SELECT id, task_type, execution_time, execution_time, payload::json, max_attempts, key
	FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::int[], $6::text[])
	     AS draft (id, task_type, execution_time, payload, max_attempts, key)`

// insert commits all drafts or none, and returns when: one that is there already
// undoes the statement.
func (db *DB) insert(ctx context.Context, in draftColumns) (now time.Time, err error) {
	err = db.pool.QueryRow(ctx, `WITH inserted AS (`+insertDrafts+`) SELECT clock_timestamp()`, in.args()...).Scan(&now)
	return now, err
}

// insertNew commits those of the drafts that are new, and answers them by their
// index.
func (db *DB) insertNew(ctx context.Context, drafts []task.Draft, in draftColumns) (map[int]task.Created, error) {
	rows, err := db.pool.Query(ctx, insertDrafts+` ON CONFLICT DO NOTHING RETURNING id, created_at`, in.args()...)
	if err != nil {
		return nil, err
	}
	times := make(map[task.ID]time.Time, len(drafts))
	var id task.ID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&id), &at}, func() error {
		times[id] = at
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make(map[int]task.Created, len(times))
	for i := range drafts {
		if at, inserted := times[drafts[i].ID]; inserted {
			out[i] = createdAt(&drafts[i], at)
		}
	}
	return out, nil
}

// lookUp answers those drafts whose id or key is there, by their index. Where
// the key names a task that differs, the answer is task.ErrKeyReused, and where it
// was deleted, task.ErrDeleted.
func (db *DB) lookUp(ctx context.Context, drafts []task.Draft) (map[int]task.Created, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT draft.n - 1, t.id, t.due_at, clock_timestamp(), t.status, t.payload,
		       (t.task_type, t.execution_time, t.max_attempts) = (draft.task_type, draft.execution_time, draft.max_attempts)
		FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[], $5::text[])
		     WITH ORDINALITY AS draft (id, task_type, execution_time, max_attempts, key, n)
		CROSS JOIN LATERAL (
			SELECT * FROM tasks WHERE tasks.id = draft.id
			UNION ALL
			SELECT * FROM tasks WHERE idempotency_key = draft.key AND tasks.id <> draft.id
			LIMIT 1) t`,
		newDraftColumns(drafts).names()...)
	if err != nil {
		return nil, err
	}
	found := map[int]task.Created{}
	var i int
	var id task.ID
	var due, now time.Time
	var status task.Status
	var payload *string
	var same bool
	_, err = pgx.ForEachRow(rows, []any{&i, scanUUID(&id), &due, &now, &status, &payload, &same}, func() error {
		switch {
		case !same || !sameJSON(raw(payload), drafts[i].Payload):
			found[i] = task.Created{Err: task.ErrKeyReused}
		case status == task.Deleted:
			found[i] = task.Created{Err: task.ErrDeleted}
		default:
			found[i] = task.Created{DueIn: task.DueIn{ID: id, Delay: due.Sub(now)}}
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

// names are all but the payloads.
func (in draftColumns) names() []any {
	return []any{in.ids, in.types, in.times, in.attempts, in.keys}
}
