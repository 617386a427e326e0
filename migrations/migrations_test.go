package migrations_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit"
)

// Each migration goes up, down and up again. What it takes back must leave the
// schema as it found it, and what it makes must be the same both times.
func TestEachMigrationGoesUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	m, err := migrations.New(url, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() {
		sourceErr, databaseErr := m.Close()
		require.NoError(t, sourceErr)
		require.NoError(t, databaseErr)
	})
	latest, err := migrations.Latest()
	require.NoError(t, err)
	require.Positive(t, latest)

	require.NoError(t, m.Down())
	empty := schema(t, url)
	require.NotContains(t, empty, "tasks")
	for version := uint(0); version < uint(latest); {
		before := schema(t, url)
		require.NoError(t, m.Steps(1))
		after := schema(t, url)
		require.NotEqual(t, before, after, "the migration after %d changes nothing", version)
		require.NoError(t, m.Steps(-1))
		require.Equal(t, before, schema(t, url), "the down of the migration after %d leaves something", version)
		require.NoError(t, m.Steps(1))
		require.Equal(t, after, schema(t, url))
		applied, dirty, err := m.Version()
		require.NoError(t, err)
		require.False(t, dirty)
		require.Greater(t, applied, version)
		version = applied
	}
	require.ErrorIs(t, m.Up(), migrate.ErrNoChange)
	require.NoError(t, migrations.Up(url))
}

// schema writes out every column, index, constraint and function that the
// migrations made.
func schema(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var all string
	require.NoError(t, conn.QueryRow(t.Context(), `
		SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (
			SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable,
				coalesce(column_default, generation_expression))
			FROM information_schema.columns WHERE table_schema = 'public'
			UNION ALL
			SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL
			SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace
			UNION ALL
			SELECT format('options %s %s', relname, reloptions) FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
			UNION ALL
			SELECT format('routine %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
			UNION ALL
			SELECT format('type %s', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typrelid = 0
				AND typelem = 0
		) AS parts (line) WHERE line !~ 'schema_migrations'`).Scan(&all))
	return all
}
