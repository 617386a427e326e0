package migrations

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// patience is how long a migration is tried again that finds its tables taken
	// or loses its connection. Another program that migrates is waited for, however
	// long it takes.
	patience   = 10 * time.Minute
	firstPause = time.Second
	maxPause   = 10 * time.Second
	// lockPause is how long others have the tables between two tries to lock them. It is short:
	// where statements of seconds follow each other, few tries meet the gap between them.
	lockPause = time.Second
)

// errBusy says that another program migrates the database.
var errBusy = errors.New("another program is migrating this database")

// Run opens the migrations of a database and calls change with them, again and
// again as long as the only reason why it fails is that a table is in use, that
// the connection broke, or that another program migrates too. The log says why it
// waits. change must lead to the same version however often it is called. When ctx
// ends, a migration that runs is let through, and the next
// one is not begun.
func Run(ctx context.Context, databaseURL string, log *slog.Logger, change func(*migrate.Migrate) error) error {
	var failed time.Time // first, since another program was last seen to migrate
	pause, waiting := firstPause, false
	for {
		err := runOnce(ctx, databaseURL, log, change)
		if err == nil || !passes(err) || ctx.Err() != nil {
			return err
		}
		if failed.IsZero() {
			failed = time.Now()
		}
		if errors.Is(err, errBusy) {
			if !waiting {
				log.Info("another program is migrating this database: waiting for it")
			}
			failed, pause, waiting = time.Time{}, firstPause, true
		} else {
			left := patience - time.Since(failed)
			if left < pause {
				return fmt.Errorf("not done within %v: %w", patience, err)
			}
			log.Warn("migration is tried again", "in", pause.String(), "for", left.Round(time.Second).String(), "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		if pause = min(2*pause, maxPause); isBusy(err) {
			pause = lockPause
		}
	}
}

func runOnce(ctx context.Context, databaseURL string, log *slog.Logger, change func(*migrate.Migrate) error) error {
	m, err := open(ctx, databaseURL, log)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { m.GracefulStop <- true })()
	err = change(m)
	sourceErr, databaseErr := m.Close()
	if err != nil {
		return err // and a connection that broke does not close well
	}
	return errors.Join(sourceErr, databaseErr)
}

// passes reports whether the same may succeed later: nothing of a migration
// that failed has happened.
func passes(err error) bool {
	var refusal *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, errBusy):
		return true
	case errors.As(err, &refusal):
		switch refusal.Code {
		case pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure,
			pgerrcode.AdminShutdown, pgerrcode.CrashShutdown, pgerrcode.CannotConnectNow,
			pgerrcode.TooManyConnections, pgerrcode.ReadOnlySQLTransaction:
			return true
		}
		return pgerrcode.IsConnectionException(refusal.Code)
	}
	return errors.As(err, &connect) || isBroken(err)
}

// isBusy reports whether a lock was waited for in vain.
func isBusy(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.LockNotAvailable
}

// Sentence is an error on one line.
func Sentence(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// isBroken reports whether the connection was lost.
func isBroken(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, sqldriver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) || errors.As(err, &network)
}
