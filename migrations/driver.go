package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	pgxdriver "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// lockTimeout bounds how long a migration waits for a table. Whoever wants
	// that table as well waits behind it.
	lockTimeout = 2 * time.Second
	// maxRetryPause bounds the pause before a migration is tried again.
	maxRetryPause = 5 * time.Second
)

// driver applies a migration and notes its version in one transaction. The
// library's own driver notes "dirty" before, and the version after: a migration
// that Postgres rolled back would stay marked as half applied.
type driver struct {
	database.Driver

	db  *sql.DB
	log *slog.Logger
	// next is the version that the next Run leads to.
	next int
}

func newDriver(db *sql.DB, name string, log *slog.Logger) (*driver, error) {
	ctx := context.Background() // the library has none
	if err := checkDatabase(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// The name is part of the lock's, which earlier releases take as well.
	inner, err := pgxdriver.WithInstance(db, &pgxdriver.Config{DatabaseName: "/" + name})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &driver{Driver: inner, db: db, log: log, next: database.NilVersion}, nil
}

// SetVersion notes which version the next Run leads to. What follows a Run was
// written by it.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.next = version
	}
	return nil
}

// Run applies one file, and tries again while tables are locked or the server
// ends the statement for somebody else's sake.
func (d *driver) Run(migration io.Reader) error {
	statements, err := io.ReadAll(migration)
	if err != nil {
		return fmt.Errorf("read a migration: %w", err)
	}
	deadline := time.Now().Add(patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, maxRetryPause) {
		err := d.apply(context.Background(), string(statements))
		if err == nil || !passing(err) || time.Now().After(deadline) {
			return err
		}
		d.log.Warn("migration is tried again", "version", d.next, "error", err)
		time.Sleep(pause/2 + rand.N(pause))
	}
}

func (d *driver) apply(ctx context.Context, statements string) (err error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a migration: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the connection may be what failed
		}
	}()
	settings := fmt.Sprintf("SET LOCAL lock_timeout = %d", lockTimeout.Milliseconds())
	for _, statement := range []string{settings, statements, "DELETE FROM schema_migrations"} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("apply a migration: %w", err)
		}
	}
	if d.next != database.NilVersion {
		_, err = tx.ExecContext(ctx, "INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)", d.next)
		if err != nil {
			return fmt.Errorf("note the version of a migration: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit a migration: %w", err)
	}
	return nil
}

// passing reports whether Postgres rolled a migration back because of what others
// did at the same time.
func passing(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Code {
	case pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure, pgerrcode.QueryCanceled:
		return true
	}
	return false
}

// Lock waits until nobody else migrates, and then looks whether an earlier release
// left the schema marked as half applied. Each of its migrations was rolled back or
// applied whole, so the schema itself says which.
func (d *driver) Lock() error {
	if err := d.Driver.Lock(); err != nil {
		return err
	}
	ctx := context.Background()
	for _, statement := range []string{
		`
		UPDATE schema_migrations s SET dirty = false, version = found.version
		FROM (SELECT CASE WHEN to_regtype('task_outcome') IS NOT NULL THEN 2 WHEN to_regclass('tasks') IS NOT NULL THEN 1 END)
		     AS found (version)
		WHERE s.dirty AND s.version <= 2 AND found.version IS NOT NULL`, `
		DELETE FROM schema_migrations WHERE dirty AND version <= 2`,
	} {
		result, err := d.db.ExecContext(ctx, statement)
		if err != nil {
			return errors.Join(fmt.Errorf("look for a migration that is marked as half applied: %w", err), d.Unlock())
		}
		if n, err := result.RowsAffected(); err == nil && n > 0 {
			d.log.Warn("a migration was marked as half applied and is not: Postgres had rolled it back or applied it whole")
		}
	}
	return nil
}
