package postgres

import (
	"bytes"
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
	if !slices.ContainsFunc(drafts, func(d task.Draft) bool { return d.Key != "" }) {
		now, held, err := db.insert(ctx, drafts)
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
		return db.answerEnded(ctx, c)
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

// answerEnded answers the drafts that are there already, after a task of theirs had ended and
// so none was created. The others are tried again without them.
func (db *DB) answerEnded(ctx context.Context, c *creation) error {
	found, err := db.lookUp(ctx, c.some())
	if err != nil {
		return err
	}
	c.answer(found)
	if len(c.left) == 0 {
		return nil
	}
	if len(found) == 0 {
		// What had ended was removed in between.
		return fmt.Errorf("resolve conflicting drafts: %w", errVanished)
	}
	return db.tryCreate(ctx, c)
}

func createdAt(draft *task.Draft, now time.Time) task.Created {
	return task.Created{DueIn: task.DueIn{ID: draft.ID, Delay: draft.ExecutionTime.Sub(now)}}
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

// insert commits all drafts or none, and returns when: one that is there already
// undoes the statement. held is false, and nothing was committed, if a type is not there.
func (db *DB) insert(ctx context.Context, drafts []task.Draft) (now time.Time, held bool, err error) {
	query, args := insertAll, createColumns.arguments(drafts)
	if types := heldTypes(drafts); types != nil {
		query, args = insertHeld, append(args, types)
	}
	var batch pgx.Batch
	batch.Queue(query, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&now, &held) })
	err = db.createOnce(ctx, &batch, drafts)
	return now, held, err
}

// createOnce commits what inserts drafts, unless a task of theirs has ended: which is seen
// by a later statement than the one that inserts, so an end cannot come between.
// Both are one transaction, sent at once.
func (db *DB) createOnce(ctx context.Context, insert *pgx.Batch, drafts []task.Draft) error {
	names := namesOf(drafts)
	insert.Queue(refuseEnded, names.made(), names.first, names.last, uuids(names.ids), names.keys)
	return db.pool.SendBatch(ctx, insert).Close()
}

// draftNames are the ids of drafts, the first and the last of them, and their keys.
type draftNames struct {
	ids         []task.ID
	first, last task.ID
	keys        []string // nil if there are none
}

func namesOf(drafts []task.Draft) draftNames {
	n := draftNames{ids: make([]task.ID, len(drafts)), first: drafts[0].ID, last: drafts[0].ID}
	for i := range drafts {
		id := drafts[i].ID
		n.ids[i] = id
		if bytes.Compare(id[:], n.first[:]) < 0 {
			n.first = id
		}
		if bytes.Compare(id[:], n.last[:]) > 0 {
			n.last = id
		}
		if drafts[i].Key != "" {
			n.keys = append(n.keys, drafts[i].Key)
		}
	}
	return n
}

// made is when the first of the ids was made, by the clock of the API that made it.
func (n draftNames) made() time.Time { return time.Unix(n.first.Time().UnixTime()) }

// No task ends before its id is made. That clock may be wrong: a day is for its error, and one
// that is further ahead is no later than this statement.
const refuseEnded = `SELECT refuse_ended(least($1::timestamptz, statement_timestamp()) - interval '1 day', $2, $3, $4, $5)`

var (
	typesAt    = len(createColumns) + 1
	insertAll  = `WITH inserted AS (` + insertDrafts + `) SELECT clock_timestamp(), true`
	insertHeld = `WITH ` + holdTypes(typesAt) + `, inserted AS (` + insertDrafts + ` WHERE ` + allHeld(typesAt) + `)
		SELECT clock_timestamp(), ` + allHeld(typesAt)
	insertNew     = insertDrafts + ` WHERE ` + notEnded + ` ON CONFLICT DO NOTHING RETURNING id, created_at, true`
	insertNewHeld = `WITH ` + holdTypes(typesAt) + `, inserted AS (` + insertDrafts + ` WHERE ` + notEnded + ` AND ` + allHeld(typesAt) + `
			ON CONFLICT DO NOTHING RETURNING id, created_at)
		SELECT id, created_at, held.ok FROM (SELECT ` + allHeld(typesAt) + ` AS ok) held LEFT JOIN inserted ON true`
)

// notEnded is whether no task of a draft has ended, for all that can be seen when the statement
// begins.
const notEnded = `NOT EXISTS (SELECT FROM tasks_ended e WHERE e.id = draft.id)
			AND NOT EXISTS (SELECT FROM tasks_ended e WHERE e.idempotency_key = draft.idempotency_key)`

// insertNew commits those of the drafts that are new, and answers them by their
// index. held is as that of insert.
func (db *DB) insertNew(ctx context.Context, drafts []task.Draft) (out map[int]task.Created, held bool, err error) {
	query, args := insertNew, createColumns.arguments(drafts)
	if types := heldTypes(drafts); types != nil {
		query, args = insertNewHeld, append(args, types)
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
	err = db.createOnce(ctx, &batch, drafts)
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

// lookUpDrafts takes the arguments of lookUpColumns.
var lookUpDrafts = `
	SELECT draft.n - 1, t.id, t.due_at, clock_timestamp(), t.status, t.payload,
	       ` + comparedColumns.list(" AND ", func(_ int, c column) string {
	return "t." + c.name + " = coalesce(draft." + c.name + ", t." + c.name + ")"
}) + `
	FROM ` + lookUpColumns.unnest() + ` WITH ORDINALITY AS draft (` + lookUpColumns.names() + `, n)
	CROSS JOIN LATERAL (
		SELECT * FROM tasks WHERE tasks.id = draft.id
		UNION ALL
		SELECT * FROM tasks WHERE idempotency_key = draft.idempotency_key AND tasks.id <> draft.id
		LIMIT 1) t`

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
