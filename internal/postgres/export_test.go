package postgres

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/timewheel/timewheel/internal/task"
)

// What classify may say, for the tests.
const (
	Definite  = definite
	NotDone   = notDone
	MaybeDone = maybeDone
)

// What a look at the backlog is, and how many rows it reads.
const (
	BacklogLooks = backlogLooks
	BacklogRows  = backlogRows
)

// PageBytes is what fills a page of a list.
const PageBytes = pageBytes

var (
	Classify        = classify
	CheckVersion    = checkVersion
	CheckDurability = checkDurability
)

// Pool is the pool that Open made.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// WithPool is a DB over a pool that the test made.
func WithPool(pool *pgxpool.Pool, log *slog.Logger) *DB {
	return &DB{pool: pool, reads: pool, vital: pool, log: log}
}

// FirstID is less than every id that was made from a time on.
var FirstID = firstID

// PartitionWidth is how much time a partition of the history holds.
var PartitionWidth = partitionWidth

// CreateAgain is Create from its second try on.
func (db *DB) CreateAgain(ctx context.Context, drafts []task.Draft) []task.Created {
	c := creation{drafts: drafts, out: make([]task.Created, len(drafts)), left: make([]int, len(drafts)), again: true}
	for i := range drafts {
		c.left[i] = i
	}
	db.create(ctx, &c)
	return c.out
}

// CreateBulkAgain is CreateBulk from its second try on.
func (db *DB) CreateBulkAgain(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	b := newBulk(key, drafts)
	b.again = true
	return db.commitBulk(ctx, b)
}
