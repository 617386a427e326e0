// Package testkit gives a test real stores: a database and a Redis of its own
// on the servers that DATABASE_URL and REDIS_URL name, or a private server
// that it may kill. For tests only.
package testkit

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/migrations"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// OwnPostgres starts a Postgres for this test alone, with the migrations
// applied. The test may kill it and start it again; it is closed with the test.
func OwnPostgres(tb testing.TB) *stores.Postgres {
	tb.Helper()
	postgres := own(tb, stores.StartPostgres)
	require.NoError(tb, migrations.Up(postgres.URL()))
	return postgres
}

// OwnRedis starts a Redis for this test alone. The test may kill it and start
// it again; it is closed with the test.
func OwnRedis(tb testing.TB) *stores.Redis {
	tb.Helper()
	return own(tb, stores.StartRedis)
}

// own starts a server of the test's own, and skips the test if it is to be short.
func own[S interface{ Close() error }](tb testing.TB, start func(context.Context, stores.Options) (S, error)) S {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: it starts a server of its own")
	}
	server, err := start(tb.Context(), stores.Options{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, server.Close()) })
	return server
}

func environment(tb testing.TB, name string) string {
	tb.Helper()
	value := os.Getenv(name)
	if value == "" && testing.Short() {
		tb.Skipf("-short and no %s", name)
	}
	if value == "" {
		tb.Fatalf("%s is not set: run the tests with `go tool stack test`", name)
	}
	return value
}
