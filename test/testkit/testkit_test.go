package testkit_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPostgresIsMigratedAndOfItsOwn(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			url := testkit.Postgres(t)
			_, twice := seen.LoadOrStore(url, true)
			require.False(t, twice)
			conn, err := pgx.Connect(t.Context(), url)
			require.NoError(t, err)
			// The connection is left open: the drop must not mind.
			_, err = conn.Exec(t.Context(), "INSERT INTO workers (id, host, lease_until) VALUES (gen_random_uuid(), 'h', now())")
			require.NoError(t, err)
			var rows int
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM workers").Scan(&rows))
			require.Equal(t, 1, rows)
		})
	}
}

func TestPostgresIsDroppedWithTheTest(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	var url string
	t.Run("user", func(t *testing.T) {
		url = testkit.Postgres(t)
	})
	// The subtest is over.
	_, err := pgx.Connect(t.Context(), url)
	require.ErrorContains(t, err, "does not exist")
}

func TestRedisIsEmptyAndOfItsOwn(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			url := testkit.Redis(t)
			_, twice := seen.LoadOrStore(url, true)
			require.False(t, twice)
			options, err := redis.ParseURL(url)
			require.NoError(t, err)
			require.NotZero(t, options.DB)
			client := redis.NewClient(options)
			t.Cleanup(func() { require.NoError(t, client.Close()) })
			require.NoError(t, client.Set(t.Context(), "mine", 1, 0).Err())
			require.Equal(t, int64(1), client.DBSize(t.Context()).Val())
		})
	}
}

func TestOwnServersCanBeKilledAndStarted(t *testing.T) {
	t.Parallel()
	postgres := testkit.OwnPostgres(t)
	require.NoError(t, postgres.Kill())
	require.NoError(t, postgres.Start(t.Context()))
	conn, err := pgx.Connect(t.Context(), postgres.URL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "SELECT FROM tasks")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))

	redis := testkit.OwnRedis(t)
	require.NoError(t, redis.Kill())
	require.NoError(t, redis.Start(t.Context()))
}
