package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

// Redis returns the redis:// URL of a logical database that is this test's own
// as long as fewer tests run at a time than the server has databases. It is
// empty, and is emptied when the test ends. Channels are not part of a
// database: a message published there reaches every test.
func Redis(tb testing.TB) string {
	tb.Helper()
	server := environment(tb, "REDIS_URL")
	database, err := takeDatabase(tb.Context(), server)
	require.NoError(tb, err)
	flush := func(ctx context.Context) error {
		return stores.WithRedis(server, database, func(client *redis.Client) error { return client.FlushDB(ctx).Err() })
	}
	require.NoError(tb, flush(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, flush(context.WithoutCancel(tb.Context()))) })
	parsed, err := url.Parse(server)
	require.NoError(tb, err)
	parsed.Path = "/" + strconv.Itoa(database)
	return parsed.String()
}

// takeDatabase counts the tests of all processes in database 0, which no test
// gets, and deals the others out in turn.
func takeDatabase(ctx context.Context, server string) (database int, err error) {
	err = stores.WithRedis(server, 0, func(client *redis.Client) error {
		config, err := client.ConfigGet(ctx, "databases").Result()
		databases, err2 := strconv.Atoi(config["databases"])
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("count the databases of redis: %w", err)
		}
		turn, err := client.Incr(ctx, "timewheel:testenv:turn").Result()
		database = 1 + int(turn)%max(1, databases-1)
		return err
	})
	return database, err
}
