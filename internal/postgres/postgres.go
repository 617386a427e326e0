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
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/timewheel/timewheel/internal/task"
)

// Settings of every connection. No statement here may walk a table, and the
// batch updates must reach their rows through the primary key in id order,
// whatever the statistics of the hour say; so the planner is told.
var connectionSettings = map[string]string{
	"application_name": "timewheel",
	"timezone":         "UTC",
	"jit":              "off",
	"plan_cache_mode":  "force_generic_plan",
	// With rows at that price every plan looks worth other processes.
	"max_parallel_workers_per_gather": "0",
	"enable_seqscan":                  "off",
	"enable_bitmapscan":               "off",
	"enable_hashjoin":                 "off",
	"enable_mergejoin":                "off",
	"enable_material":                 "off",
	// A plan that reads a whole table looks cheap while that is small, and is
	// kept when it has grown.
	"cpu_tuple_cost":                      "10",
	"idle_in_transaction_session_timeout": "10s",
	// A guard that waited for a row must see what became of it, and not fail.
	"default_transaction_isolation": "read committed",
}

// MinVersion is the oldest Postgres that is supported, as server_version_num.
const MinVersion = 15_00_00

// DB is a pool of connections to the system of record.
type DB struct {
	pool *pgxpool.Pool
	log  *slog.Logger

	walking sync.Mutex
	walk    walk // see Forget
}

// Open prepares a pool of at most size connections for a postgres:// URL. It
// does not connect; Check does.
func Open(ctx context.Context, url string, size int32, log *slog.Logger) (*DB, error) {
	if _, err := ParseURL(url); err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(plainHost(url))
	if err != nil {
		return nil, errURL // of a pool's parameter
	}
	for name, value := range connectionSettings {
		cfg.ConnConfig.RuntimeParams[name] = value
	}
	cfg.MaxConns = size
	cfg.MinIdleConns = 1
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	cfg.AfterConnect = readInUTC
	watchAcquires(cfg)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the Postgres pool: %w", err)
	}
	return &DB{pool: pool, log: log.With("component", "postgres")}, nil
}

// readInUTC makes a connection return times in UTC, and not in the zone of the
// machine that asks.
func readInUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// Close closes every connection.
func (db *DB) Close() { db.pool.Close() }

// Ping reports whether Postgres answers.
func (db *DB) Ping(ctx context.Context) error { return db.pool.Ping(ctx) }

// Check connects and refuses, in one sentence, a server that cannot keep the
// promise: too old, without migration schema, or losing commits in a crash.
// The last is a warning if unsafe is true.
func (db *DB) Check(ctx context.Context, schema int64, unsafe bool) error {
	var version int
	var name, fsync, commit, encoding string
	err := db.pool.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		       current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding')`,
	).Scan(&version, &name, &fsync, &commit, &encoding)
	if err != nil {
		return unreachable(err)
	}
	if err := errors.Join(checkVersion(version, name), CheckEncoding(encoding)); err != nil {
		return err
	}
	if fsync != "on" || commit == "off" {
		if !unsafe {
			return fmt.Errorf("postgres runs with fsync=%s and synchronous_commit=%s, so a crash could lose"+
				" or repeat tasks: set both to on, or ALLOW_UNSAFE_POSTGRES=true to go without the promise", fsync, commit)
		}
		db.log.Warn("the promise of only once does not hold", "fsync", fsync, "synchronous_commit", commit)
	}
	return db.checkSchema(ctx, schema)
}

// unreachable says in one line why there is no connection. The driver tells of
// every try, with TLS and without, on a line each; the last one will do.
func unreachable(err error) error {
	text := err.Error()
	return fmt.Errorf("reach Postgres: %s", strings.TrimSpace(text[strings.LastIndex(text, "\n")+1:]))
}

func checkVersion(version int, name string) error {
	if version < MinVersion {
		return fmt.Errorf("postgres %s is too old: at least version %d is needed", name, MinVersion/10000)
	}
	return nil
}

// CheckEncoding refuses a database that cannot hold every text, or holds what is
// none.
func CheckEncoding(encoding string) error {
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s: make one with ENCODING 'UTF8'", encoding)
	}
	return nil
}

func (db *DB) checkSchema(ctx context.Context, want int64) error {
	var have int64
	var dirty bool
	err := db.pool.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&have, &dirty)
	switch {
	case isUndefinedTable(err), errors.Is(err, pgx.ErrNoRows):
		return errors.New("the database has no timewheel schema: run the migrations (migrate up) first")
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case dirty:
		return fmt.Errorf("migration %d is marked as half applied: run the migrations (migrate up), which look into it", have)
	case have < want:
		return fmt.Errorf("the database is at migration %d and %d is needed: run the migrations (migrate up) first", have, want)
	}
	return nil
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

// into is where the driver puts an id without such a detour.
func into(id *task.ID) *[16]byte { return (*[16]byte)(id) }
