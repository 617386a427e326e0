package wheel_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// What older versions keep under their own names is theirs while one of their workers
// leads, and is removed then, in as many shards as they had.
func TestKeysOfOlderVersions(t *testing.T) {
	t.Parallel()
	f := open(t)
	put := func(key string) {
		require.NoError(t, f.redis.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: uuid.NewString()}).Err())
	}
	legacy := []string{"timewheel:epoch", "timewheel:{0}:due", "timewheel:{0}:claimed", "timewheel:{2}:due"}
	for _, key := range legacy[1:] {
		put(key)
	}
	lead := func(until time.Time) {
		require.NoError(t, f.redis.HSet(t.Context(), legacy[0], "turner", "x", "turner_until", until.UnixMicro(), "shards", 3).Err())
	}
	left := func() int64 { return f.redis.Exists(t.Context(), legacy...).Val() }
	f.index(t, 1, f.now(t))

	lead(f.now(t).Add(5 * time.Second))
	require.NoError(t, f.DropLegacy(t.Context(), 1))
	require.EqualValues(t, 4, left())
	lead(f.now(t).Add(-9 * time.Second))
	require.NoError(t, f.DropLegacy(t.Context(), 1))
	require.EqualValues(t, 4, left())
	lead(f.now(t).Add(-time.Minute))
	require.NoError(t, f.DropLegacy(t.Context(), 1))
	require.Zero(t, left())
	require.Len(t, f.members(t, dueKey), 1)

	// An API of an older version goes on creating.
	put("timewheel:{0}:due")
	require.NoError(t, f.DropLegacy(t.Context(), 1))
	require.Zero(t, left())
	require.NoError(t, f.DropLegacy(t.Context(), 1))
}
