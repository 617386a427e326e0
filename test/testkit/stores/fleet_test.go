package stores_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

// patience is longer than a fleet takes to agree.
const patience = 30 * time.Second

func TestClusterMovesSlotsAndFailsOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cluster, err := stores.StartCluster(ctx, 3, true, time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	masters, err := cluster.Masters(ctx)
	require.NoError(t, err)
	require.ElementsMatch(t, cluster.Nodes[:3], masters)

	options, err := redis.ParseURL(cluster.Nodes[0].URL())
	require.NoError(t, err)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{options.Addr}, Password: options.Password})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	for _, key := range []string{"{t}1", "{t}2", "{t}3"} {
		require.NoError(t, client.Set(ctx, key, key, 0).Err())
	}
	before, err := client.MasterForKey(ctx, "{t}")
	require.NoError(t, err)
	halfway := false
	require.NoError(t, cluster.MoveSlot(ctx, "{t}", func() {
		halfway = true
		require.Equal(t, int64(2), before.DBSize(ctx).Val())
	}))
	require.True(t, halfway)
	require.Zero(t, before.DBSize(ctx).Val())
	for _, key := range []string{"{t}1", "{t}2", "{t}3"} {
		require.Equal(t, key, client.Get(ctx, key).Val())
	}

	require.Eventually(t, func() bool { return cluster.Failover(ctx, masters[0]) == nil }, patience, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		now, err := cluster.Masters(ctx)
		return err == nil && len(now) == 3 && now[0] != masters[0] && now[1] != masters[0] && now[2] != masters[0]
	}, patience, 50*time.Millisecond)
}

func TestSentinelFailsOverAndStandsStill(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	sentinel, err := stores.StartSentinel(ctx, time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sentinel.Close()) })
	first, err := sentinel.Master(ctx)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return sentinel.Failover(ctx) == nil }, patience, 50*time.Millisecond)
	var second *stores.Redis
	require.Eventually(t, func() bool {
		second, err = sentinel.Master(ctx)
		return err == nil && second != first
	}, patience, 50*time.Millisecond)
	resume, err := second.Pause()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		third, err := sentinel.Master(ctx)
		return err == nil && third == first
	}, patience, 50*time.Millisecond)
	require.NoError(t, resume())
}
