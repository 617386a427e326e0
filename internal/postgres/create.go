package postgres

import (
	"context"
	"fmt"
	"slices"
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
	// again is whether the drafts were sent to Postgres before.
	again bool
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
		db.create(ctx, &creation{drafts: c.drafts, out: c.out, left: c.left[:half], again: true})
		db.create(ctx, &creation{drafts: c.drafts, out: c.out, left: c.left[half:], again: true})
		return
	}
	if data {
		err = &task.RejectedError{Reason: refusal.Message}
	}
	for _, at := range c.left {
		c.out[at].Err = err
	}
}

// tryCreate is prepared for drafts that are there already if they have keys, or if this is
// another try. Ids alone are new at the first, and to trust in that costs a third less.
func (db *DB) tryCreate(ctx context.Context, c *creation) error {
	drafts, again := c.some(), c.again
	c.again = true
	if !again && !slices.ContainsFunc(drafts, func(d task.Draft) bool { return d.Key != "" }) {
		now, held, err := db.insert(ctx, drafts, false)
		if err == nil && !held {
			return db.answerUndeclared(ctx, c)
		}
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
	inserted, held, err := db.insertNew(ctx, drafts)
	if err == nil && !held {
		return db.answerUndeclared(ctx, c)
	}
	if isConflict(err) {
		// The task that a draft names ended in between: now it is found.
		return fmt.Errorf("resolve conflicting drafts: %w", errVanished)
	}
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
	return task.Created{DueIn: task.DueIn{ID: draft.ID, Delay: draft.ExecutionTime.Sub(now)}, DueAt: draft.ExecutionTime}
}

// answerUndeclared answers the drafts whose type is not there. None of the others has been
// created, and they are tried again.
func (db *DB) answerUndeclared(ctx context.Context, c *creation) error {
	answers, err := db.undeclared(ctx, c.some())
	if err != nil {
		return err
	}
	c.answer(answers)
	if len(c.left) == 0 {
		return nil
	}
	return db.tryCreate(ctx, c)
}

// insertDrafts takes the arguments of createColumns.
var insertDrafts = `
	INSERT INTO tasks_open (` + createColumns.names() + `, due_at)
	SELECT ` + createColumns.list(", ", inserted) + `, draft.execution_time
	FROM ` + createColumns.unnest() + ` AS draft (` + createColumns.names() + `)`

func inserted(_ int, c column) string {
	if c.create.cast != "" {
		return "draft." + c.name + "::" + c.create.cast
	}
	return "draft." + c.name
}

// insertNew commits those of the drafts that are new, and answers them by their
// index. held is as that of insert.
func (db *DB) insertNew(ctx context.Context, drafts []task.Draft) (out map[int]task.Created, held bool, err error) {
	query, args := insertNew.of(drafts), createColumns.arguments(drafts)
	if types := heldTypes(drafts); types != nil {
		query, args = insertNewHeld.of(drafts), append(args, types)
	}
	times := make(map[task.ID]time.Time, len(drafts))
	var id pgtype.UUID
	var at *time.Time
	held = true
	var batch pgx.Batch
	batch.Queue(query, args...).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &at, &held}, func() error {
			if at != nil {
				times[id.Bytes] = *at
			}
			return nil
		})
		return err
	})
	err = db.createAgain(ctx, &batch, drafts)
	if err != nil || !held {
		return nil, held, err
	}
	out = make(map[int]task.Created, len(times))
	for i := range drafts {
		if at, inserted := times[drafts[i].ID]; inserted {
			out[i] = createdAt(&drafts[i], at)
		}
	}
	return out, true, nil
}

// lookUpDrafts takes the arguments of lookUpColumns. A task that was changed is no longer as
// its create asked for: then the type alone tells whether it is the same.
var lookUpDrafts = `
	SELECT draft.n - 1, t.id, t.due_at, clock_timestamp(), t.status, t.payload, t.changes IS NOT NULL,
	       t.changes IS NOT NULL AND t.task_type = draft.task_type OR ` + comparedColumns.list(" AND ", comparison) + `
	FROM ` + lookUpColumns.unnest() + ` WITH ORDINALITY AS draft (` + lookUpColumns.names() + `, n)
	CROSS JOIN LATERAL (
		SELECT * FROM tasks WHERE tasks.id = draft.id
		UNION ALL
		SELECT * FROM tasks WHERE idempotency_key = draft.idempotency_key AND tasks.id <> draft.id
		LIMIT 1) t`

func comparison(_ int, c column) string {
	if c.create.nullable {
		return "t." + c.name + " IS NOT DISTINCT FROM " + inserted(0, c)
	}
	return "t." + c.name + " = coalesce(draft." + c.name + ", t." + c.name + ")"
}

// lookUp answers those drafts whose id or key is there, by their index. Where
// the key names a task that differs, the answer is task.ErrKeyReused, and where it
// was deleted, task.ErrDeleted.
func (db *DB) lookUp(ctx context.Context, drafts []task.Draft) (map[int]task.Created, error) {
	rows, err := db.pool.Query(ctx, lookUpDrafts, lookUpColumns.asking(drafts)...)
	if err != nil {
		return nil, err
	}
	found := map[int]task.Created{}
	var i int
	var id task.ID
	var due, now time.Time
	var status task.Status
	var payload *string
	var changed, same bool
	_, err = pgx.ForEachRow(rows, []any{&i, scanUUID(&id), &due, &now, &status, &payload, &changed, &same}, func() error {
		switch {
		case !same || !changed && !sameJSON(raw(payload), drafts[i].Payload):
			found[i] = task.Created{Err: task.ErrKeyReused}
		case status == task.Deleted:
			found[i] = task.Created{Err: task.ErrDeleted}
		default:
			found[i] = task.Created{DueIn: task.DueIn{ID: id, Delay: due.Sub(now)}, DueAt: due}
		}
		return nil
	})
	return found, err
}
