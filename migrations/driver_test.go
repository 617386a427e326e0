package migrations_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/testenv"
	"github.com/timewheel/timewheel/migrations"
)

func open(t *testing.T, url string, log *bytes.Buffer) *migrate.Migrate {
	t.Helper()
	m, err := migrations.New(url, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	t.Cleanup(func() {
		sourceErr, databaseErr := m.Close()
		require.NoError(t, sourceErr)
		require.NoError(t, databaseErr)
	})
	return m
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// An earlier release marked a migration as half applied that Postgres had rolled
// back, or applied. The next one looks, and goes on from where the schema is.
func TestAMarkOfHalfAppliedIsLookedInto(t *testing.T) {
	t.Parallel()
	latest, err := migrations.Latest()
	require.NoError(t, err)
	for name, c := range map[string]struct{ schema, marked int }{
		"the first was rolled back":         {0, 1},
		"the second was rolled back":        {1, 2},
		"the second was applied":            {2, 2},
		"taking back the second, it did":    {1, 1},
		"taking back the second, it didn't": {2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testenv.Postgres(t)
			want := schema(t, url)
			var log bytes.Buffer
			m := open(t, url, &log)
			require.NoError(t, m.Down())
			if c.schema > 0 {
				require.NoError(t, m.Steps(c.schema))
			}
			conn := connect(t, url)
			_, err := conn.Exec(t.Context(), "DELETE FROM schema_migrations")
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), "INSERT INTO schema_migrations VALUES ($1, true)", c.marked)
			require.NoError(t, err)

			require.NoError(t, m.Up())
			version, dirty, err := m.Version()
			require.NoError(t, err)
			require.False(t, dirty)
			require.EqualValues(t, latest, version)
			require.Equal(t, want, schema(t, url))
			require.Contains(t, log.String(), "half applied")
		})
	}
}

// A migration waits for a table that is in use: it lets others by, is tried again,
// and leaves no mark whatever becomes of it in between.
func TestAMigrationWaitsForItsTables(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	want := schema(t, url)
	var log bytes.Buffer
	m := open(t, url, &log)
	require.NoError(t, m.Down())
	require.NoError(t, m.Steps(1))
	reader := connect(t, url)
	tx, err := reader.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT count(*) FROM tasks")
	require.NoError(t, err)

	ended := make(chan error, 1)
	go func() { ended <- m.Up() }()
	watch := connect(t, url)
	count := func(sql string) (n int) {
		require.NoError(t, watch.QueryRow(t.Context(), sql).Scan(&n))
		return n
	}
	const waiting = `FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
		AND application_name = 'timewheel migrate'`
	require.Eventually(t, func() bool { return count("SELECT count(*) "+waiting) == 1 }, 30*time.Second, 5*time.Millisecond)
	require.Equal(t, 1, count("SELECT count(*) FROM schema_migrations WHERE version = 1 AND NOT dirty"))
	// Its backend is cancelled, as a statement_timeout or a person does.
	require.Equal(t, 1, count("SELECT count(pg_cancel_backend(pid)) "+waiting))
	require.Eventually(t, func() bool { return count("SELECT count(*) "+waiting) == 1 }, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-ended)
	require.Equal(t, want, schema(t, url))
	require.Contains(t, log.String(), "tried again")
}

func TestTenMigratorsAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.Postgres(t)
	want := schema(t, url)
	require.NoError(t, open(t, url, &bytes.Buffer{}).Down())
	var all errgroup.Group
	for range 10 {
		all.Go(func() error { return migrations.Up(url) })
	}
	require.NoError(t, all.Wait())
	require.Equal(t, want, schema(t, url))
}
