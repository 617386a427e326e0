// Package migrations holds the schema of the system of record as numbered
// pairs of SQL files, and applies them.
package migrations

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // registers the scheme pgx5
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

//go:embed *.sql
var files embed.FS

// New opens the migrations against the database of a postgres:// URL. The
// caller closes what it returns.
func New(databaseURL string) (*migrate.Migrate, error) {
	source, err := iofs.New(files, ".")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	_, rest, found := strings.Cut(databaseURL, "://")
	if !found {
		return nil, errors.New("the database URL has no scheme, want postgres://")
	}
	m, err := migrate.NewWithSourceInstance("iofs", source, "pgx5://"+rest)
	if err != nil {
		return nil, fmt.Errorf("open the migrations: %w", err)
	}
	return m, nil
}

// Up applies every migration that the database lacks. It is no error if there
// is none.
func Up(databaseURL string) error {
	m, err := New(databaseURL)
	if err != nil {
		return err
	}
	err = m.Up()
	if errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	sourceErr, databaseErr := m.Close()
	return errors.Join(err, sourceErr, databaseErr)
}

// Latest is the version of the newest migration, which the code expects.
func Latest() (int64, error) {
	var latest int64
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		var version int64
		if _, err := fmt.Sscanf(path, "%d_", &version); err != nil {
			return fmt.Errorf("migration %s has no number: %w", path, err)
		}
		latest = max(latest, version)
		return nil
	})
	return latest, err
}
