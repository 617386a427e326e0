package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// MinVersion is the oldest Postgres that is supported, as server_version_num.
const MinVersion = 15_00_00

// ErrReadOnly says that the server is a standby, or was demoted to one.
var ErrReadOnly = errors.New("postgres takes reads only")

// Ping reports whether Postgres answers and takes changes; else it is ErrReadOnly.
func (db *DB) Ping(ctx context.Context) error {
	var readOnly bool
	err := db.vital.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'`).Scan(&readOnly)
	if err == nil && readOnly {
		// Another of several hosts may be the primary by now.
		db.vital.Reset()
		err = ErrReadOnly
	}
	return err
}

// Check connects and refuses, in one sentence, a server that cannot keep the
// promise: too old, without migration schema, or losing commits in a crash.
// The last is a warning if unsafe is true.
func (db *DB) Check(ctx context.Context, schema int64, unsafe bool) error {
	var version, standbys int
	var name, fsync, commit, encoding, synchronous string
	err := db.vital.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		       current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding'),
		       current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication)`,
	).Scan(&version, &name, &fsync, &commit, &encoding, &synchronous, &standbys)
	if err != nil {
		return unreachable(err)
	}
	if err := errors.Join(checkVersion(version, name), CheckEncoding(encoding)); err != nil {
		return err
	}
	err = checkDurability(fsync, commit, synchronous)
	switch {
	case err != nil && !unsafe:
		return fmt.Errorf("%w, or ALLOW_UNSAFE_POSTGRES=true to go without the promise", err)
	case err != nil:
		db.log.Warn("the promise of only once does not hold", "fsync", fsync, "synchronous_commit", commit)
	case standbys > 0 && synchronous == "":
		db.log.Warn("the standbys are asynchronous: a failover to one of them may lose acknowledged tasks and run started"+
			" ones a second time; see synchronous_standby_names", "standbys", standbys)
	}
	if err := db.checkPins(ctx); err != nil {
		return err
	}
	return db.checkSchema(ctx, schema)
}

// Installation names this system of record.
func (db *DB) Installation(ctx context.Context) (id string, err error) {
	if err := db.vital.QueryRow(ctx, `SELECT id::text FROM installation`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the name of the installation: %w", err)
	}
	return id, nil
}

// checkDurability refuses what loses commits that were acknowledged: in a crash, or
// in a failover to a standby that is meant to have them.
func checkDurability(fsync, commit, synchronous string) error {
	switch {
	case fsync != "on" || commit == "off":
		return fmt.Errorf("postgres runs with fsync=%s and synchronous_commit=%s, so a crash could lose"+
			" or repeat tasks: set both to on", fsync, commit)
	case commit == "local" && synchronous != "":
		return errors.New("postgres has synchronous standbys and synchronous_commit=local, which does not wait for them, so a" +
			" failover could lose or repeat tasks: set it to on")
	}
	return nil
}

// checkPins refuses connections that do not have the settings which the statements
// are written for.
func (db *DB) checkPins(ctx context.Context) error {
	for _, pin := range pins {
		var value string
		if err := db.pool.QueryRow(ctx, `SELECT current_setting($1)`, pin.name).Scan(&value); err != nil {
			return fmt.Errorf("read the settings of a connection: %w", err)
		}
		if value != pin.value {
			return fmt.Errorf("a connection to Postgres has %s=%s and must have %s: a pooler in transaction mode needs"+
				" POSTGRES_POOLER=transaction, migrate up with it, and its connections to the server opened again", pin.name, value, pin.value)
		}
	}
	return nil
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
