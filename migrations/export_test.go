package migrations

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/golang-migrate/migrate/v4"
)

// NewFrom opens migrations of a test's own.
func NewFrom(folder fs.FS, databaseURL string, log *slog.Logger) (*migrate.Migrate, error) {
	return newFrom(context.Background(), folder, nil, databaseURL, log)
}
