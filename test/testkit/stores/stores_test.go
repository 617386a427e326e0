package stores_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPostgresKeepsDataAndPortThroughEveryEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pg, err := stores.StartPostgres(ctx, stores.Options{Settings: map[string]string{"work_mem": "5MB"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.Close()) })
	url := pg.URL()
	query(t, url, "CREATE TABLE kept (n int)")

	ends := map[string]func() error{
		"stop": pg.Stop, "kill": pg.Kill, "immediate": pg.StopImmediately,
		"restart": func() error { return pg.Restart(ctx) },
	}
	for name, end := range ends {
		query(t, url, "INSERT INTO kept VALUES (1)")
		require.NoError(t, end(), name)
		if name != "restart" {
			require.Error(t, dial(url), "still listens after %s", name)
			<-pg.Done()
			require.NoError(t, pg.Start(ctx), name)
		}
		require.Equal(t, url, pg.URL())
	}
	require.Equal(t, "4", query(t, url, "SELECT count(*)::text FROM kept"))
	require.Equal(t, "5MB", query(t, url, "SHOW work_mem"))
	require.Equal(t, "on on", query(t, url,
		"SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit')"))
	require.Error(t, pg.Start(ctx), "a second start of a running server")
}

// Every user of the machine reaches the ports, and a superuser of Postgres runs
// programs as its user.
func TestNobodyGetsInWithoutThePassword(t *testing.T) {
	t.Parallel()
	pg, err := stores.StartPostgres(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.Close()) })
	requireClosed(t, pg.URL())

	server, err := stores.StartRedis(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	options.Password, options.DisableIdentity = "", true
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.ErrorContains(t, client.Ping(t.Context()).Err(), "NOAUTH")
}

// A folder that is used again keeps its data and its password, which nobody else reads.
func TestDataFolderKeepsItsPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(folder, 0o711), "Postgres' own user must get through")
	}
	for _, statement := range []string{"CREATE TABLE kept AS SELECT 1 AS n", "INSERT INTO kept VALUES (1)"} {
		pg, err := stores.StartPostgres(t.Context(), stores.Options{Dir: dir})
		require.NoError(t, err)
		requireClosed(t, pg.URL())
		query(t, pg.URL(), statement)
		secret, err := os.Stat(filepath.Join(dir, "postgres.password"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), secret.Mode())
		require.NoError(t, pg.Close())
	}
}

// requireClosed requires that the password of a URL is needed, and asked for.
func requireClosed(t *testing.T, address string) {
	t.Helper()
	for _, user := range []*url.Userinfo{url.User("timewheel"), url.UserPassword("timewheel", "wrong"), url.User("postgres")} {
		guess, err := url.Parse(address)
		require.NoError(t, err)
		guess.User = user
		_, err = pgx.Connect(t.Context(), guess.String())
		require.ErrorContains(t, err, "password authentication failed")
	}
}

func TestPostgresThatCannotStartQuotesItsLog(t *testing.T) {
	t.Parallel()
	_, err := stores.StartPostgres(t.Context(), stores.Options{Settings: map[string]string{"work_mem": "nonsense"}})
	require.ErrorContains(t, err, `invalid value for parameter "work_mem"`)
}

func TestRedisKeepsDataAndPort(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server, err := stores.StartRedis(ctx, stores.Options{Settings: map[string]string{"appendfsync": "always"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	options.MaxRetries = -1
	options.DialerRetries = 1
	options.DisableIdentity = true
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	require.NoError(t, client.Set(ctx, "kept", "yes", 0).Err())
	require.NoError(t, server.Kill())
	require.Error(t, client.Ping(ctx).Err())
	require.NoError(t, server.Start(ctx))
	value, err := client.Get(ctx, "kept").Result()
	require.NoError(t, err)
	require.Equal(t, "yes", value)
	require.NoError(t, server.Restart(ctx))
	config, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"maxmemory-policy": "noeviction"}, config)
}

// A server that is down must keep its port: a connection of somebody else's
// that took it would fail the next start.
func TestPortIsKeptWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	server, err := stores.StartRedis(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	require.NoError(t, server.Stop())
	other, err := stores.StartRedis(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	require.NotEqual(t, server.URL(), other.URL())
	require.NoError(t, server.Start(t.Context()))
}

func TestPreferredPortThatIsTakenGivesWay(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	taken := listener.Addr().(*net.TCPAddr).Port
	server, err := stores.StartRedis(t.Context(), stores.Options{Port: taken})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	require.NoError(t, dial(server.URL()))
	require.NotContains(t, server.URL(), listener.Addr().String())
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	rows, err := conn.Query(t.Context(), sql)
	require.NoError(t, err)
	defer rows.Close()
	var value string
	if rows.Next() {
		require.NoError(t, rows.Scan(&value))
	}
	rows.Close()
	require.NoError(t, rows.Err())
	return value
}

func dial(rawURL string) error {
	parsed, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", parsed.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}
