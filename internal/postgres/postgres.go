// Package postgres is the system of record. Every SQL statement of the system
// stands here, beside its only caller, in a file per actor.
//
// The guards of the state machine live inside the statements: each change is
// one conditional UPDATE, and an empty answer is an answer. All times are
// Postgres' own (clock_timestamp), never the caller's.
//
// # Unknown outcomes
//
// A connection that breaks after a commit was sent leaves its outcome unknown,
// and the backend may even commit later, once a lock frees. Nothing is
// inferred from a read. Every statement is safe to issue again instead: it
// waits for its own earlier copy on the same rows, and recognises what that
// copy did by a name that only this call could have given (the task's id, the
// session's receipt number, the attempt).
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/timewheel/timewheel/internal/task"
)

// DB is the connections to the system of record.
type DB struct {
	// pool is for what changes tasks, reads for what only looks, and vital for what
	// must not wait behind either: heartbeats, and whether the server is there.
	pool, reads, vital *pgxpool.Pool
	log                *slog.Logger

	rest   restCursor  // see DeleteRest
	labels labelCursor // see ForgetLabels
}

// Options are how the system of record is reached.
type Options struct {
	// URL is a postgres:// URL, see ParseURL.
	URL string
	// Work is the most connections for statements that change tasks, and Reads that
	// for others; without any, those share the first.
	Work, Reads int32
	// TransactionPooler says that a connection pooler may hand each transaction to
	// another connection of the server.
	TransactionPooler bool
}

// vitalConns is how many connections heartbeats and health have.
const vitalConns = 2

// Open prepares the pools of connections. It does not connect; Check does.
func Open(ctx context.Context, o Options, log *slog.Logger) (*DB, error) {
	if _, err := ParseURL(o.URL); err != nil {
		return nil, err
	}
	db := &DB{log: log.With("component", "postgres")}
	var err error
	if db.pool, err = o.open(ctx, o.Work, 1); err == nil {
		db.vital, err = o.open(ctx, vitalConns, 0)
	}
	db.reads = db.pool
	if err == nil && o.Reads > 0 {
		db.reads, err = o.open(ctx, o.Reads, 0)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func (o Options) open(ctx context.Context, size, idle int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(plainHost(o.URL))
	if err != nil {
		return nil, errURL // of a pool's parameter
	}
	cfg.MaxConns, cfg.MinIdleConns = size, idle
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	// What a pooler in front of Postgres keeps for each client.
	cfg.ConnConfig.RuntimeParams["application_name"] = "timewheel"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	if o.TransactionPooler {
		// Statements that are prepared by name stay on a connection of the server.
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		readInUTC(conn)
		if o.TransactionPooler {
			return nil
		}
		_, err := conn.Exec(ctx, setPins())
		return err
	}
	watchAcquires(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the Postgres pool: %w", err)
	}
	return pool, nil
}

// readInUTC makes a connection return times in UTC, and not in the zone of the
// machine that asks.
func readInUTC(conn *pgx.Conn) {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
}

// Close closes every connection.
func (db *DB) Close() {
	for _, pool := range []*pgxpool.Pool{db.pool, db.reads, db.vital} {
		if pool != nil {
			pool.Close() // once more is no harm
		}
	}
}

// uuids are ids in the form that the driver encodes without a detour through
// their text.
func uuids(ids []task.ID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return out
}

// scanUUID is where the driver puts an id without such a detour.
func scanUUID(id *task.ID) *[16]byte { return (*[16]byte)(id) }
