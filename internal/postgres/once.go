package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// A create whose reply was lost is sent again, and the first copy may arrive at any time, also
// after the task has ended and has left the index of what is open. So the later copies
// leave a mark, in the transaction that creates the task, and the first one fails if it finds
// one: that is one look into a table that is nearly always empty. The later copies
// look through the history. Each looks after its own rows stand in the index, where no other
// copy's can be, and with a later snapshot than the one that it began with.

var (
	typesAt   = len(createColumns) + 1
	insertAll = noting(func(returning, noted string) string {
		return `WITH inserted AS (` + insertDrafts + returning + `)` + noted + ` SELECT clock_timestamp(), true, ` + unlessMarked(typesAt)
	})
	insertHeld = noting(func(returning, noted string) string {
		return `WITH ` + holdTypes(typesAt+2) + `, inserted AS (` + insertDrafts + ` WHERE ` + allHeld(typesAt+2) + returning + `)` + noted + `
		SELECT clock_timestamp(), ` + allHeld(typesAt+2) + `, ` + unlessMarked(typesAt)
	})
	insertNew = noting(func(returning, noted string) string {
		insert := insertDrafts + ` WHERE ` + notEnded + ` ON CONFLICT DO NOTHING`
		if noted == "" {
			return insert + ` RETURNING id, created_at, true`
		}
		return `WITH inserted AS (` + insert + returning + `, created_at)` + noted + ` SELECT id, created_at, true FROM inserted`
	})
	insertNewHeld = noting(func(returning, noted string) string {
		return `WITH ` + holdTypes(typesAt) + `, inserted AS (` + insertDrafts + ` WHERE ` + notEnded + ` AND ` + allHeld(typesAt) + `
			ON CONFLICT DO NOTHING` + returning + `, created_at)` + noted + `
		SELECT id, created_at, held.ok FROM (SELECT ` + allHeld(typesAt) + ` AS ok) held LEFT JOIN inserted ON true`
	})
)

// unlessMarked is true, or fails if an id has a mark. It is called when all rows have been
// inserted; parameters n and n+1 are the first and the last id.
func unlessMarked(n int) string {
	return fmt.Sprintf(`refuse_created_again($%d, $%d, $1) FROM (SELECT count(*) FROM inserted) all_inserted`, n, n+1)
}

// notEnded is whether no task of a draft has ended, for all that can be seen when the statement
// begins.
const notEnded = `NOT EXISTS (SELECT FROM tasks_ended e WHERE e.id = draft.id)
			AND NOT EXISTS (SELECT FROM tasks_ended e WHERE e.idempotency_key = draft.idempotency_key)`

// insert commits all drafts or none, and returns when: one that is there already undoes the
// statement. held is false, and nothing was committed, if a type is not there.
func (db *DB) insert(ctx context.Context, drafts []task.Draft, again bool) (now time.Time, held bool, err error) {
	names := namesOf(drafts)
	query, args := insertAll.of(drafts), append(createColumns.arguments(drafts), names.first, names.last)
	if types := heldTypes(drafts); types != nil {
		query, args = insertHeld.of(drafts), append(args, types)
	}
	if !again {
		err = db.pool.QueryRow(ctx, query, args...).Scan(&now, &held, nil)
		return now, held, err
	}
	var batch pgx.Batch
	batch.Queue(query, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&now, &held, nil) })
	err = db.createAgain(ctx, &batch, drafts)
	return now, held, err
}

// createAgain commits what inserts drafts, unless a task of theirs has ended, and marks those
// without keys. All of it is one transaction, sent at once. Drafts with keys are always
// inserted by it, so nobody looks for a mark of theirs.
func (db *DB) createAgain(ctx context.Context, insert *pgx.Batch, drafts []task.Draft) error {
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
