package testkit

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver by which pgtestdb connects
	"github.com/peterldowns/pgtestdb"
	"github.com/peterldowns/pgtestdb/migrators/common"

	"github.com/timewheel/timewheel/migrations"
)

// Postgres returns the URL of a database with the migrations applied that is
// this test's own. It is dropped when the test ends, but for one that failed, which can be
// looked into. It is a copy of a template, which the first test of any package makes.
func Postgres(tb testing.TB) string {
	tb.Helper()
	server, err := url.Parse(environment(tb, "DATABASE_URL"))
	if err != nil {
		tb.Fatal("DATABASE_URL is not a URL, want postgres://") // its text may hold a password
	}
	user := server.User.Username()
	password, _ := server.User.Password()
	return pgtestdb.Custom(tb, pgtestdb.Config{
		DriverName: "pgx", Host: server.Hostname(), Port: server.Port(), Options: server.RawQuery,
		User: user, Password: password, Database: strings.TrimPrefix(server.Path, "/"),
		TestRole:                  &pgtestdb.Role{Username: user, Password: password},
		ForceTerminateConnections: true,
	}, migrator{}).URL()
}

// migrator makes the template.
type migrator struct{}

// Hash names the template by the migrations, so that an edit of one makes a new one.
func (migrator) Hash() (string, error) { return common.HashDirs(migrations.Files(), "*.sql", ".") }

// Migrate fills the template.
func (migrator) Migrate(_ context.Context, _ *sql.DB, template pgtestdb.Config) error {
	return migrations.Up(template.URL())
}
