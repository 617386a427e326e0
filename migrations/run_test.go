package migrations_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit"
)

// quiet is for what nobody reads.
var quiet = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	// When a migration fails, the library forgets the readers of those after it.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("io.(*pipe).write"))
}

// A migration that fails, at whatever statement, leaves the schema and the
// version as they were.
func TestMigrationAndItsVersionAreOneTransaction(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	conn := connect(t, url)
	exec(t, conn, "DELETE FROM schema_migrations")
	m, err := migrations.NewFrom(fstest.MapFS{
		"11_one.up.sql":   {Data: []byte("CREATE TABLE one (); SELECT 1 -- no semicolon")},
		"11_one.down.sql": {Data: []byte("DROP TABLE one; SELECT 1/(SELECT count(*) FROM two)")},
		"12_two.up.sql":   {Data: []byte("CREATE TABLE two (n int); ALTER TABLE one ADD n int; SELECT 1/0;")},
	}, url, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { sourceErr, databaseErr := m.Close(); require.NoError(t, errors.Join(sourceErr, databaseErr)) })

	for range 2 {
		err := m.Up()
		require.ErrorContains(t, err, "migrate the schema to version 12")
		require.ErrorContains(t, err, "division by zero")
		require.NotContains(t, err.Error(), "CREATE TABLE")
		require.Equal(t, "11|f|t|f", look(t, conn, `SELECT concat_ws('|', version, dirty,
			to_regclass('one') IS NOT NULL, to_regclass('two') IS NOT NULL) FROM schema_migrations`))
	}
	require.ErrorContains(t, m.Down(), "does not exist")
	require.Equal(t, "11|t", look(t, conn, `SELECT concat_ws('|', version, to_regclass('one') IS NOT NULL) FROM schema_migrations`))
	exec(t, conn, "CREATE TABLE two (n int); INSERT INTO two VALUES (1)")
	require.NoError(t, m.Down())
	require.Equal(t, "0|f", look(t, conn, `SELECT concat_ws('|', count(*), to_regclass('one') IS NOT NULL) FROM schema_migrations`))
}

// What stands in the way of a migration, or ends it, is waited for.
//
//nolint:tparallel // The subtests share a database.
func TestMigrationIsTriedAgain(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	to(t, url, 1)
	conn := connect(t, url)
	for name, disturb := range map[string]func(){
		"its table is in use": func() {},
		"its backend is ended": func() {
			require.Eventually(t, func() bool {
				return look(t, conn, `SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity
					WHERE datname = current_database() AND query LIKE '%task_outcome%' AND wait_event_type = 'Lock'`) == "1"
			}, time.Minute, time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			reader := connect(t, url)
			exec(t, reader, "BEGIN; LOCK TABLE tasks IN ACCESS SHARE MODE")
			lines, log := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- migrations.Run(t.Context(), url, slog.New(slog.NewTextHandler(log, nil)),
					func(m *migrate.Migrate) error { return m.Migrate(2) })
				_ = log.Close()
			}()
			disturb()
			said := bufio.NewScanner(lines)
			require.True(t, said.Scan())
			require.Contains(t, said.Text(), "migration is tried again")
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			require.Equal(t, "1|f", look(t, conn, "SELECT concat_ws('|', version, dirty) FROM schema_migrations"))
			exec(t, reader, "COMMIT")
			require.NoError(t, <-ended)
			require.Equal(t, "2|f", look(t, conn, "SELECT concat_ws('|', version, dirty) FROM schema_migrations"))
			to(t, url, 1)
		})
	}
}

func TestMigrationThatCannotSucceedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	to(t, url, 1)
	conn := connect(t, url)
	exec(t, conn, "CREATE VIEW mine AS SELECT outcome FROM tasks")
	var log bytes.Buffer
	err := migrations.Run(t.Context(), url, slog.New(slog.NewTextHandler(&log, nil)), (*migrate.Migrate).Up)
	require.ErrorContains(t, err, "other objects depend on it")
	require.Empty(t, log.String())
	require.Equal(t, "1|f", look(t, conn, "SELECT concat_ws('|', version, dirty) FROM schema_migrations"))
	exec(t, conn, "DROP VIEW mine")
	require.NoError(t, migrations.Up(url))
}

// The table says what an earlier release, or a hand, wrote there; the catalogue
// says what is true.
func TestVersionThatAnEarlierReleaseLeftIsRepaired(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	whole := schema(t, url)
	conn := connect(t, url)
	for actual := range 3 {
		for _, written := range []string{"(0, true)", "(-1, true)", "(1, true)", "(2, true)", "(2, false)"} {
			to(t, url, actual)
			exec(t, conn, "DELETE FROM schema_migrations; INSERT INTO schema_migrations VALUES "+written)
			require.NoError(t, migrations.Up(url), "%s with schema %d", written, actual)
			require.Equal(t, whole, schema(t, url))
		}
	}
	exec(t, conn, "UPDATE schema_migrations SET version = 1000000, dirty = true")
	require.Error(t, migrations.Up(url), "of that one it knows nothing")
}

func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	whole := schema(t, url)
	to(t, url, 0)
	holder, watcher := connect(t, url), connect(t, url)
	exec(t, holder, "BEGIN; CREATE TABLE tasks ()")
	var all errgroup.Group
	for range 10 {
		all.Go(func() error { return migrations.Up(url) })
	}
	require.Eventually(t, func() bool {
		return look(t, watcher, `SELECT (count(*) > 1)::text FROM pg_locks
			WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == "true"
	}, time.Minute, 5*time.Millisecond)
	exec(t, holder, "ROLLBACK")
	require.NoError(t, all.Wait())
	require.Equal(t, whole, schema(t, url))
}

// to brings the schema to a version.
func to(t *testing.T, url string, version int) {
	t.Helper()
	m, err := migrations.New(url, quiet)
	require.NoError(t, err)
	if version == 0 {
		err = m.Down()
	} else {
		err = m.Migrate(uint(version))
	}
	if !errors.Is(err, migrate.ErrNoChange) {
		require.NoError(t, err)
	}
	sourceErr, databaseErr := m.Close()
	require.NoError(t, errors.Join(sourceErr, databaseErr))
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func look(t *testing.T, conn *pgx.Conn, sql string) (answer string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}

// What a file of migrations must keep to, for the package's word to hold.
func TestFilesAreTransactionsThatLockInOrder(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	comment := regexp.MustCompile(`--[^\n]*`)
	body := regexp.MustCompile(`(?s)\$\$.*?\$\$`) // of a function
	ends := regexp.MustCompile(`(?i)\b(BEGIN|COMMIT|ROLLBACK|CONCURRENTLY|VACUUM)\b`)
	changes := regexp.MustCompile(`(?i)\b(?:ALTER|DROP|LOCK) TABLE (?:ONLY |IF EXISTS )*(\w+)`)
	for _, name := range names {
		file, err := os.ReadFile(name)
		require.NoError(t, err)
		text := body.ReplaceAllString(comment.ReplaceAllString(string(file), ""), "")
		require.NotRegexp(t, ends, text, name)
		tables := map[string]bool{}
		for _, change := range changes.FindAllStringSubmatch(text, -1) {
			tables[change[1]] = true
		}
		if len(tables) > 1 {
			require.Regexp(t, `(?m)\A\s*(LOCK TABLE workers, starts, tasks IN SHARE UPDATE EXCLUSIVE MODE;\s*SET LOCAL lock_timeout = '300ms';\s*)?`+
				`LOCK TABLE workers, starts, tasks IN ACCESS EXCLUSIVE MODE;`, text, "%s changes several tables", name)
		}
	}
}
