package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"
)

// Redis returns the redis:// URL of a logical database that is this test's own
// as long as fewer tests run at a time than the server has databases. It is
// empty, and is emptied when the test ends. Channels are not part of a
// database: a message published there reaches every test.
func Redis(tb testing.TB) string {
	tb.Helper()
	options, err := redis.ParseURL(environment(tb, "REDIS_URL"))
	if err != nil {
		tb.Fatal("REDIS_URL is not a redis:// URL")
	}
	options.DB, err = takeDatabase(tb.Context(), options)
	require.NoError(tb, err)
	require.NoError(tb, flush(tb.Context(), options))
	afterTest(tb, func(ctx context.Context) error { return flush(ctx, options) })

	own := environment(tb, "REDIS_URL")
	parsed, err := url.Parse(own)
	require.NoError(tb, err)
	parsed.Path = "/" + strconv.Itoa(options.DB)
	return parsed.String()
}

// takeDatabase counts the tests of all processes in database 0, which no test
// gets, and deals the others out in turn.
func takeDatabase(ctx context.Context, options *redis.Options) (database int, err error) {
	err = withClient(options, 0, func(client *redis.Client) error {
		config, err := client.ConfigGet(ctx, "databases").Result()
		if err != nil {
			return fmt.Errorf("count the databases of redis: %w", err)
		}
		databases, err := strconv.Atoi(config["databases"])
		if err != nil || databases < 2 {
			return fmt.Errorf("redis has %q databases, want at least 2", config["databases"])
		}
		turn, err := client.Incr(ctx, "timewheel:testenv:turn").Result()
		if err != nil {
			return fmt.Errorf("take a database of redis: %w", err)
		}
		database = 1 + int(turn)%(databases-1)
		return nil
	})
	return database, err
}

func flush(ctx context.Context, options *redis.Options) error {
	return withClient(options, options.DB, func(client *redis.Client) error {
		if err := client.FlushDB(ctx).Err(); err != nil {
			return fmt.Errorf("empty a database of redis: %w", err)
		}
		return nil
	})
}

func withClient(options *redis.Options, database int, use func(*redis.Client) error) error {
	own := *options
	own.DB = database
	own.DisableIdentity = true
	own.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	client := redis.NewClient(&own)
	return errors.Join(use(client), client.Close())
}
