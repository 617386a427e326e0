// Package testenv gives a test real stores: a database and a Redis of its own
// on the servers that DATABASE_URL and REDIS_URL name, or a private server
// that it may kill. For tests only.
package testenv

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/stores"
	"github.com/timewheel/timewheel/migrations"
)

// cleanupPatience bounds what runs after a test, whose context is over by then.
const cleanupPatience = 30 * time.Second

// OwnPostgres starts a Postgres for this test alone, with the migrations
// applied. The test may kill it and start it again; it is closed with the test.
func OwnPostgres(t testing.TB) *stores.Postgres {
	t.Helper()
	postgres, err := stores.StartPostgres(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	require.NoError(t, migrations.Up(postgres.URL()))
	return postgres
}

// OwnRedis starts a Redis for this test alone. The test may kill it and start
// it again; it is closed with the test.
func OwnRedis(t testing.TB) *stores.Redis {
	t.Helper()
	redis, err := stores.StartRedis(t.Context(), stores.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, redis.Close()) })
	return redis
}

func environment(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run the tests with `go tool stack test`", name)
	}
	return value
}

func afterTest(t testing.TB, clean func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupPatience)
		defer cancel()
		require.NoError(t, clean(ctx))
	})
}
