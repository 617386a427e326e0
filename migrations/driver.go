package migrations

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	postgres "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// sessionSettings bound how long a migration stands in a queue for a table:
// whatever comes to that table stands behind it. It must be longer than
// deadlock_timeout (1 s), after which an autovacuum gives way. Once it has the
// table, a migration may take its time.
const sessionSettings = `
	SET lock_timeout = '3s';
	SET statement_timeout = 0;
	SET idle_in_transaction_session_timeout = 0;
	SET idle_session_timeout = 0`

// driver makes each migration and the version that it leads to one transaction.
// The library marks a version as dirty, migrates, and takes the mark away, each
// on its own, so that a migration that was rolled back looks half applied.
// Here there is nothing between the two versions.
type driver struct {
	database.Driver
	// target is the version that the migration leads to which runs next.
	target int
	// reached: the migration has committed, and with it the version.
	reached bool
	// prepare does what has to be done before the migration to a version.
	prepare func(target int) error
	// makeWay keeps the nodes' statements out of the way until stop is called.
	makeWay func() (stop func())
	log     *slog.Logger
}

func openDriver(ctx context.Context, config *pgx.ConnConfig, before map[int]preparation, log *slog.Logger) (*driver, error) {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sessionSettings)
		return err
	}))
	if err := checkDatabase(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// By this name earlier releases took the lock that keeps two programs from
	// migrating at once. It belongs to the connection that migrates: while the
	// server still carries out what a program sent that was killed, no other begins.
	inner, err := postgres.WithInstance(db, &postgres.Config{DatabaseName: "/" + config.Database})
	if err != nil {
		err = cause(err)
		if isBusy(err) {
			err = errBusy
		}
		return nil, errors.Join(err, db.Close())
	}
	prepare := func(target int) error {
		do, some := before[target]
		if !some {
			return nil
		}
		// A down migration leads to a version too, and needs nothing before it.
		from, _, err := inner.Version()
		if err != nil || from > target {
			return err
		}
		return do(ctx, db, log) // the library has no context
	}
	way := func() func() { return makeWay(ctx, db, log) }
	return &driver{Driver: inner, prepare: prepare, makeWay: way, log: log}, nil
}

// Lock keeps every other program from migrating this database, and repairs the
// version that one of an earlier release left behind.
func (d *driver) Lock() error {
	if err := cause(d.Driver.Lock()); err != nil {
		if isBusy(err) {
			return errBusy
		}
		return fmt.Errorf("take the lock of the migrations: %w", err)
	}
	if err := d.repair(); err != nil {
		return errors.Join(fmt.Errorf("look at the schema's version: %w", err), d.Unlock())
	}
	return nil
}

func (d *driver) repair() error {
	marked, dirty, err := d.Version()
	if err != nil {
		return err
	}
	if err := cause(d.Driver.Run(strings.NewReader(repair))); err != nil {
		return err
	}
	version, _, err := d.Version()
	if err == nil && (dirty && marked <= 2 || version != marked) {
		d.log.Warn("a migration was marked as half applied, or as applied, and is not: the schema says which version it has",
			"marked", marked, "version", max(0, version))
	}
	return err
}

// repair asks the catalogue which version the schema has. Earlier releases
// marked a version as dirty before they tried to reach it, and it stayed so
// although the server had rolled the migration back; and they said that the
// mark is to be taken away by hand, which left the number of the migration that
// did not happen. They knew two.
const repair = `
	UPDATE schema_migrations SET dirty = false, version = actual
	FROM (SELECT CASE WHEN to_regtype('task_outcome') IS NOT NULL THEN 2 WHEN to_regclass('tasks') IS NOT NULL THEN 1
	                  ELSE 0 END AS actual) AS catalogue
	WHERE version <= 2 AND (dirty OR version <> actual);
	DELETE FROM schema_migrations WHERE version < 1`

// SetVersion is called with dirty before a migration, and without after it. Both
// are done by Run. It writes for a migration that has no file, and for
// migrate.Force.
func (d *driver) SetVersion(version int, dirty bool) error {
	reached := d.reached
	d.target, d.reached = version, false
	if dirty || reached {
		return nil
	}
	return cause(d.Driver.SetVersion(version, false))
}

// Run sends the migration and the new version as one message of the simple
// protocol, which the server carries out as one transaction. They must not hold
// what ends a transaction or refuses to be in one.
func (d *driver) Run(migration io.Reader) error {
	version := "\n;DELETE FROM schema_migrations"
	if d.target != database.NilVersion {
		version += fmt.Sprintf("; INSERT INTO schema_migrations (version, dirty) VALUES (%d, false)", d.target)
	}
	defer d.makeWay()()
	err := d.prepare(d.target)
	if err == nil {
		err = d.Driver.Run(io.MultiReader(migration, strings.NewReader(version)))
	}
	if err != nil {
		return fmt.Errorf("migrate the schema to version %d: %w", max(0, d.target), cause(err))
	}
	d.reached = true
	return nil
}

// Version is the schema's, and database.NilVersion if it has none.
func (d *driver) Version() (version int, dirty bool, err error) {
	version, dirty, err = d.Driver.Version()
	return version, dirty, cause(err)
}

// cause is the server's or the connection's own error. The library's quotes the
// whole migration, and cannot be unwrapped.
func cause(err error) error {
	var value database.Error
	var pointer *database.Error
	switch {
	case errors.As(err, &value):
		return value.OrigErr
	case errors.As(err, &pointer):
		return pointer.OrigErr
	}
	return err
}
