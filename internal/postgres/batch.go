package postgres

import (
	"context"
	"sort"
	"strconv"

	"github.com/timewheel/timewheel/internal/task"
)

// CreateBatch commits all drafts in one statement, or none of them (T0), and
// returns one answer a draft, in order. If the server refuses a value, the
// error is a *task.RejectedError with the index of the first such draft. Others
// are task.ErrKeyReused, task.ErrUnavailable and task.ErrUnknownOutcome.
//
// A key that is not empty names the batch as a whole, in place of the drafts'
// own: the same drafts under the same key are the same tasks, and others are
// refused with task.ErrKeyReused.
func (db *DB) CreateBatch(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	in := newDraftColumns(drafts)
	if key != "" {
		for i := range drafts {
			put(&in.keys, len(drafts), i, itemKey(key, i))
		}
	}
	var out []task.Created
	err := db.retry(ctx, "create a batch of tasks", func(ctx context.Context) (err error) {
		out, err = db.createBatch(ctx, key, drafts, in)
		return err
	})
	if _, data := isData(err); data {
		return nil, db.findRejected(ctx, in, err)
	}
	return out, err
}

// itemKey is the key of one task of a batch. Clients' keys have no spaces, so
// it cannot be the key of a task that was created alone.
func itemKey(key string, i int) *string {
	derived := key + " " + strconv.Itoa(i)
	return &derived
}

func (db *DB) createBatch(ctx context.Context, key string, drafts []task.Draft, in draftColumns) ([]task.Created, error) {
	out, err := db.insert(ctx, drafts, in)
	if isConflict(err) {
		return db.resolveBatch(ctx, key, in)
	}
	return out, err
}

// resolveBatch answers a batch of which something was there already. It is the
// same batch if all of it is there, and the earlier one had no more than that.
func (db *DB) resolveBatch(ctx context.Context, key string, in draftColumns) ([]task.Created, error) {
	found, err := db.lookUp(ctx, in)
	if err != nil {
		return nil, err
	}
	var longer bool
	err = db.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM tasks WHERE idempotency_key = $1)`,
		itemKey(key, len(in.ids))).Scan(&longer)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, errVanished
	case longer || len(found) < len(in.ids):
		return nil, task.ErrKeyReused
	}
	out := make([]task.Created, len(in.ids))
	for i, answer := range found {
		if answer.Err != nil {
			return nil, answer.Err
		}
		out[i] = answer
	}
	return out, nil
}

// findRejected explains why the server refused a batch: it looks for the first
// draft that no column can hold, and writes nothing.
func (db *DB) findRejected(ctx context.Context, in draftColumns, refused error) error {
	var failure error
	reason := ""
	at := sort.Search(len(in.payloads), func(i int) bool {
		err := db.retry(ctx, "look for a rejected draft", func(ctx context.Context) error {
			_, err := db.pool.Exec(ctx, `SELECT count(payload::jsonb) FROM unnest($1::text[]) AS draft (payload)`, in.payloads[:i+1])
			return err
		})
		refusal, data := isData(err)
		if data {
			reason = refusal.Message
		} else if err != nil {
			failure = err
		}
		return data
	})
	switch {
	case failure != nil:
		return failure
	case at == len(in.payloads):
		return refused
	}
	return &task.RejectedError{Index: at, Reason: reason}
}
