package postgres_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/migrations"
)

// oneSentence requires an error that can be shown to a person as it is.
func oneSentence(t *testing.T, err error, says ...string) {
	t.Helper()
	require.Error(t, err)
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "hunter2")
	for _, part := range says {
		require.ErrorContains(t, err, part)
	}
}

func latest(t *testing.T) int64 {
	t.Helper()
	return must(migrations.Latest())(t)
}

func TestCheckAcceptsAServerThatKeepsThePromise(t *testing.T) {
	t.Parallel()
	f := open(t)
	require.NoError(t, f.Ping(t.Context()))
	require.NoError(t, f.Check(t.Context(), latest(t), false))
	require.NoError(t, f.Check(t.Context(), latest(t)-1, false), "a newer schema is that of a rollout under way")
	require.Empty(t, f.log.String())
}

func TestCheckOfAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	f := open(t)
	for name, mode := range map[string]string{"by any means": "prefer", "with TLS": "require", "without": "disable"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := f.connect(t, "postgres://someone:hunter2@127.0.0.1:1/timewheel?sslmode="+mode)
			oneSentence(t, db.Check(t.Context(), 1, false), "reach Postgres", "127.0.0.1:1", "refused")
		})
	}
	t.Run("no such database", func(t *testing.T) {
		t.Parallel()
		there, err := url.Parse(f.url)
		require.NoError(t, err)
		there.Path = "/nowhere"
		oneSentence(t, f.connect(t, there.String()).Check(t.Context(), 1, false), "reach Postgres", "nowhere")
	})
}

func TestOpenRefusesABadURLWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"postgres://someone:hunter2@host:port/x", "redis://someone:hunter2@host", "hunter2"} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: bad, Work: 1}, nil)
		oneSentence(t, err, "DATABASE_URL")
	}
}

func TestCheckOfTheSchema(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		says string
	}{
		"never migrated":   {`DROP TABLE schema_migrations`, "no timewheel schema"},
		"migrated down":    {`TRUNCATE schema_migrations`, "no timewheel schema"},
		"half applied":     {`UPDATE schema_migrations SET dirty = true`, "half applied"},
		"an older version": {`UPDATE schema_migrations SET version = version - 1`, "run the migrations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t)
			f.exec(t, c.sql)
			oneSentence(t, f.Check(t.Context(), latest(t), true), c.says, "migration")
		})
	}
}

func TestCheckRefusesAServerThatLosesCommits(t *testing.T) {
	t.Parallel()
	f := open(t)
	database := strings.TrimPrefix(must(url.Parse(f.url))(t).Path, "/")
	for _, level := range []string{"local", "remote_write", "remote_apply"} {
		f.exec(t, "ALTER DATABASE "+database+" SET synchronous_commit = "+level)
		require.NoError(t, f.connect(t, f.url).Check(t.Context(), latest(t), false), level)
	}
	f.exec(t, "ALTER DATABASE "+database+" SET synchronous_commit = off")
	db := f.connect(t, f.url)
	oneSentence(t, db.Check(t.Context(), latest(t), false), "synchronous_commit=off", "ALLOW_UNSAFE_POSTGRES")
	require.Empty(t, f.log.String())
	require.NoError(t, db.Check(t.Context(), latest(t), true))
	require.Contains(t, f.log.String(), "synchronous_commit=off")
	oneSentence(t, db.Check(t.Context(), latest(t)+1, true), "run the migrations")
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	oneSentence(t, postgres.CheckVersion(14_00_22, "14.22"), "14.22", "15")
	require.NoError(t, postgres.CheckVersion(15_00_00, "15.0"))
	require.NoError(t, postgres.CheckVersion(18_00_03, "18.3"))
}

// The guards count on it that a statement which waited for a row sees what
// became of it, whatever the database's default is.
func TestTheIsolationLevelIsOurOwn(t *testing.T) {
	t.Parallel()
	f := open(t)
	database := strings.TrimPrefix(must(url.Parse(f.url))(t).Path, "/")
	f.exec(t, "ALTER DATABASE "+database+" SET default_transaction_isolation = 'repeatable read'")
	var level string
	db := f.connect(t, f.url)
	require.NoError(t, db.Pool().QueryRow(t.Context(), `SHOW transaction_isolation`).Scan(&level))
	require.Equal(t, "read committed", level)
}

func TestOnlyADatabaseInUTF8IsTaken(t *testing.T) {
	t.Parallel()
	require.NoError(t, postgres.CheckEncoding("UTF8"))
	for _, other := range []string{"LATIN1", "SQL_ASCII"} {
		require.ErrorContains(t, postgres.CheckEncoding(other), "encoding is "+other)
	}
}

// What an operator has switched off is told, and standbys that are waited for must
// be waited for.
func TestDurability(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ fsync, commit, synchronous, says string }{
		{"on", "on", "", ""},
		{"on", "remote_write", "a", ""},
		{"on", "local", "", ""},
		{"on", "remote_apply", "ANY 1 (a, b)", ""},
		{"off", "on", "", "fsync=off"},
		{"on", "off", "", "synchronous_commit=off"},
		{"on", "local", "a", "synchronous standbys"},
	} {
		err := postgres.CheckDurability(c.fsync, c.commit, c.synchronous)
		if c.says == "" {
			require.NoError(t, err)
		} else {
			oneSentence(t, err, c.says)
		}
	}
}

// A server that takes reads only answers, and is of no use.
func TestPingOfAReadOnlyServer(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.exec(t, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	db := f.connect(t, f.url)
	require.ErrorIs(t, db.Ping(t.Context()), postgres.ErrReadOnly)
	require.ErrorIs(t, db.Ping(t.Context()), postgres.ErrReadOnly)
}
