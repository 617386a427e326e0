package main

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit"
)

func migrateWith(t *testing.T, url string, arguments ...string) (code int, out, errOut string) {
	t.Helper()
	t.Setenv("DATABASE_URL", url)
	var stdout, stderr bytes.Buffer
	code = run(arguments, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestDownAndUpAgain(t *testing.T) {
	url := testkit.Postgres(t)
	code, latest, errOut := migrateWith(t, url, "version")
	require.Zero(t, code, errOut)
	require.Regexp(t, `^version \d+\n$`, latest)

	code, out, errOut := migrateWith(t, url, "down", "999")
	require.Zero(t, code, errOut)
	require.Equal(t, "no migration is applied\n", out)
	code, out, errOut = migrateWith(t, url, "down")
	require.Zero(t, code, errOut)
	require.Equal(t, "no migration is applied\n", out)

	for range 2 {
		code, out, errOut = migrateWith(t, url, "up")
		require.Zero(t, code, errOut)
		require.Equal(t, latest, out)
	}
}

func TestDirtySchemaIsOneSentence(t *testing.T) {
	url := testkit.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE schema_migrations SET dirty = true")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	code, _, errOut := migrateWith(t, url, "up")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "half applied")
	code, out, _ := migrateWith(t, url, "version")
	require.Zero(t, code)
	require.Contains(t, out, "half applied")
}

func TestPasswordsAreNeverPrinted(t *testing.T) {
	for _, url := range []string{
		"postgres://u:hunter2@127.0.0.1:1/d",
		"postgres://u:hunter2@127.0.0.1:port/d",
		"postgres://u:hunter2%zz@127.0.0.1/d",
		"host=127.0.0.1 port=1 user=u password=hunter2",
		"mysql://u:hunter2@127.0.0.1:1/d",
	} {
		code, out, errOut := migrateWith(t, url, "up")
		require.Equal(t, 1, code)
		require.Empty(t, out)
		require.NotEmpty(t, errOut)
		require.NotContains(t, errOut, "hunter2", url)
	}
}

func TestWrongCommandLineIsRefused(t *testing.T) {
	for _, arguments := range [][]string{{}, {"sideways"}, {"down", "0"}, {"down", "x"}, {"up", "1"}, {"version", "1"}} {
		code, _, errOut := migrateWith(t, "", arguments...)
		require.Equal(t, 2, code, arguments)
		require.Contains(t, errOut, "Usage:")
	}
	code, out, _ := migrateWith(t, "", "--help")
	require.Zero(t, code)
	require.Contains(t, out, "Usage:")
	code, _, errOut := migrateWith(t, "", "up")
	require.Equal(t, 1, code)
	require.Equal(t, "migrate: DATABASE_URL is required and not set\n", errOut)
}

// An older release is rolled out again over a newer schema: there is nothing to
// do, and nothing that should stop it.
func TestANewerSchemaIsNoFailure(t *testing.T) {
	url := testkit.Postgres(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE schema_migrations SET version = version + 1")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	code, out, errOut := migrateWith(t, url, "up")
	require.Zero(t, code, errOut)
	require.Contains(t, errOut, "newer than this program knows")
	require.Regexp(t, `^version \d+\n$`, out)
	code, _, errOut = migrateWith(t, url, "down")
	require.Equal(t, 1, code)
	require.Contains(t, errOut, "use the newer program")
}
