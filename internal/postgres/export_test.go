package postgres

import (
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
)

// What classify may say, for the tests.
const (
	Definite  = definite
	NotDone   = notDone
	MaybeDone = maybeDone
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

// PartitionWidth is how much time a partition of the history holds.
var PartitionWidth = partitionWidth
