package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// CreateBulk commits all drafts in one statement, or none of them (T0), and
// returns one answer per draft, in order. Errors are task.ErrUnknownType, task.ErrKeyReused,
// task.ErrDeleted, task.ErrUnavailable, task.ErrUnknownOutcome and
// *task.RejectedError.
//
// A key that is not empty names the bulk as a whole, in place of the drafts'
// own: the same drafts under the same key are the same tasks, and others are
// refused with task.ErrKeyReused. If all of the tasks were deleted, it is
// task.ErrDeleted.
func (db *DB) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	return db.commitBulk(ctx, newBulk(key, drafts))
}

func newBulk(key string, drafts []task.Draft) bulk {
	b := bulk{key: key, drafts: slices.Clone(drafts)}
	for i := range drafts {
		b.drafts[i].Key = itemKey(key, i)
	}
	if key != "" {
		b.digest = digestOf(drafts)
	}
	return b
}

func (db *DB) commitBulk(ctx context.Context, b bulk) ([]task.Created, error) {
	var out []task.Created
	err := db.retry(ctx, "create tasks in bulk", func(ctx context.Context) (err error) {
		out, err = db.createBulk(ctx, b)
		b.again = true
		return err
	})
	if refusal, data := isData(err); data {
		return nil, &task.RejectedError{Reason: refusal.Message}
	}
	return out, err
}

// bulk is a bulk create on its way; its key may be empty.
type bulk struct {
	key    string
	digest []byte
	drafts []task.Draft
	again  bool // it was sent to Postgres before
}

// itemKey is the key of one task of a bulk create. Clients' keys have no spaces, so it
// cannot be the key of a task that was created alone. Without a key there is none.
func itemKey(key string, i int) string {
	if key == "" {
		return ""
	}
	return key + " " + strconv.Itoa(i)
}

// digestOf identifies what a bulk create asks for, regardless of the order of members
// and the space between them.
func digestOf(drafts []task.Draft) []byte {
	sum := sha256.New()
	write := func(part []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = sum.Write(append(size[:], part...)) // a hash never fails
	}
	for i := range drafts {
		for _, c := range createColumns {
			if c.create.digest == nil {
				continue
			}
			if value := c.create.digest(&drafts[i]); value != nil {
				write(value)
			}
		}
	}
	return sum.Sum(nil)
}

func (db *DB) createBulk(ctx context.Context, b bulk) ([]task.Created, error) {
	now, held, err := db.insertBulk(ctx, b)
	if err == nil && !held {
		return nil, task.ErrUnknownType
	}
	if isConflict(err) {
		return db.resolveBulk(ctx, b)
	}
	if err != nil {
		return nil, err
	}
	out := make([]task.Created, len(b.drafts))
	for i := range b.drafts {
		out[i] = createdAt(&b.drafts[i], now)
	}
	return out, nil
}

func (db *DB) insertBulk(ctx context.Context, b bulk) (now time.Time, held bool, err error) {
	if b.key == "" {
		return db.insert(ctx, b.drafts, b.again)
	}
	lastDue := b.drafts[0].ExecutionTime
	for i := range b.drafts {
		if at := b.drafts[i].ExecutionTime; at.After(lastDue) {
			lastDue = at
		}
	}
	// No types are all held.
	types := append([]string{}, heldTypes(b.drafts)...)
	args := append(createColumns.arguments(b.drafts), types, b.key, b.digest, lastDue)
	var batch pgx.Batch
	batch.Queue(insertKeyed.of(b.drafts), args...).QueryRow(func(row pgx.Row) error { return row.Scan(&now, &held) })
	err = db.createAgain(ctx, &batch, b.drafts)
	return now, held, err
}

var insertKeyed = noting(func(returning, noted string) string {
	return fmt.Sprintf(`
	WITH `+holdTypes(typesAt)+`, batch AS (
		INSERT INTO batches (key, digest, task_ids, last_due) SELECT $%d, $%d, $1::uuid[], $%d WHERE `+allHeld(typesAt)+`
	), inserted AS (`+insertDrafts+` WHERE `+allHeld(typesAt)+returning+`)`+noted+`
	SELECT clock_timestamp(), `+allHeld(typesAt), typesAt+1, typesAt+2, typesAt+3)
})

// resolveBulk answers a bulk create of which something exists already.
func (db *DB) resolveBulk(ctx context.Context, b bulk) ([]task.Created, error) {
	var digest []byte
	var ids []uuid.UUID
	err := db.pool.QueryRow(ctx, `SELECT digest, task_ids FROM batches WHERE key = $1`, b.key).Scan(&digest, &ids)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return db.resolveTasks(ctx, b)
	case err != nil:
		return nil, err
	case string(digest) != string(b.digest):
		return nil, task.ErrKeyReused
	}
	return db.answerAgain(ctx, ids)
}

// answerAgain answers a repeated bulk create with the ids that it was answered with
// before, and says of those that wait still when they are due.
func (db *DB) answerAgain(ctx context.Context, ids []task.ID) ([]task.Created, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT id, status, due_at, clock_timestamp() FROM tasks WHERE id = ANY($1)`, uuids(ids))
	if err != nil {
		return nil, err
	}
	waits := make(map[task.ID]task.Created, len(ids))
	deleted := 0
	var id task.ID
	var status task.Status
	var due, now time.Time
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&id), &status, &due, &now}, func() error {
		switch status {
		case task.Deleted:
			deleted++
		case task.Submitted:
			waits[id] = task.Created{DueIn: task.DueIn{ID: id, Delay: due.Sub(now)}, DueAt: due}
		default: // it needs no index
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if deleted == len(ids) {
		return nil, task.ErrDeleted
	}
	out := make([]task.Created, len(ids))
	for i, id := range ids {
		answer, waiting := waits[id]
		if !waiting { // it is not to be indexed
			answer = task.Created{DueIn: task.DueIn{ID: id, Delay: math.MaxInt64}}
		}
		out[i] = answer
	}
	return out, nil
}

// resolveTasks answers a bulk create that has no row of its own: without a key, by an
// earlier try of this very call; or with a key, from a release before there were
// such rows. It is the same batch if all of it is there, and the earlier one had no
// more than that.
func (db *DB) resolveTasks(ctx context.Context, b bulk) ([]task.Created, error) {
	found, err := db.lookUp(ctx, b.drafts)
	if err != nil {
		return nil, err
	}
	var longer bool
	err = db.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tasks WHERE idempotency_key = $1)`,
		itemKey(b.key, len(b.drafts))).Scan(&longer)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("resolve a bulk create: %w", errVanished)
	case longer || len(found) < len(b.drafts):
		return nil, task.ErrKeyReused
	}
	out := make([]task.Created, len(b.drafts))
	for i, answer := range found {
		if answer.Err != nil {
			return nil, answer.Err
		}
		out[i] = answer
	}
	return out, nil
}
