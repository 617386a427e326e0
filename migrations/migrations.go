// Package migrations holds the schema of the system of record as numbered
// pairs of SQL files, and applies them. Each file is one transaction, together
// with the version that it leads to: whatever fails, and whoever dies, the
// schema is of one version or of the other.
//
// Nodes of the release before run while a migration does. One that changes more
// than one table locks them all at its head, workers first, then starts, then
// tasks: the order in which the statements of the nodes come to them.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/timewheel/timewheel/internal/postgres"
)

//go:embed *.sql
var files embed.FS

// Files are the migrations, as this program applies them.
func Files() fs.FS { return files }

// New opens the migrations against the database of a postgres:// URL. The
// caller closes what it returns. What is done with it may fail for a reason that
// passes: Run tries it again.
func New(databaseURL string, log *slog.Logger) (*migrate.Migrate, error) {
	return open(context.Background(), databaseURL, log)
}

func open(ctx context.Context, databaseURL string, log *slog.Logger) (*migrate.Migrate, error) {
	return newFrom(ctx, files, map[int]preparation{history: moveRows}, databaseURL, log)
}

// preparation is what is done before the migration to a version, beside the work of the nodes
// and not in one transaction. Should it be cut off, it is done again.
type preparation func(ctx context.Context, db *sql.DB, log *slog.Logger) error

func newFrom(
	ctx context.Context, folder fs.FS, before map[int]preparation, databaseURL string, log *slog.Logger,
) (*migrate.Migrate, error) {
	cfg, err := postgres.ParseURL(databaseURL)
	if err != nil {
		return nil, err
	}
	cfg.ConnectTimeout = 10 * time.Second
	cfg.RuntimeParams["application_name"] = "timewheel migrate"
	source, err := iofs.New(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	database, err := openDriver(ctx, cfg, before, log)
	if err != nil {
		return nil, fmt.Errorf("open the migrations: %w", err)
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", database)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the migrations: %w", err), database.Close())
	}
	// Its reader would stay behind when a migration fails and more are to be read than this.
	m.PrefetchMigrations = 1000
	return m, nil
}

// Up applies every migration that the database lacks. It is no error if there
// is none.
func Up(databaseURL string) error {
	return Run(context.Background(), databaseURL, slog.New(slog.DiscardHandler), func(m *migrate.Migrate) error {
		if err := m.Up(); !errors.Is(err, migrate.ErrNoChange) {
			return err
		}
		return nil
	})
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

// checkDatabase refuses a database that cannot hold every text.
func checkDatabase(ctx context.Context, db *sql.DB) error {
	var encoding string
	if err := db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return fmt.Errorf("ask for the encoding of the database: %w", err)
	}
	return postgres.CheckEncoding(encoding)
}
