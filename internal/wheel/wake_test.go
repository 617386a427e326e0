package wheel_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/testkit"
)

// A worker must hear of a new head, and look once after every connection, since
// nobody knows what it missed before.
func TestWakeHearsOfNewHeadsAndOfConnections(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL(), 2)
	ctx, cancel := context.WithCancel(t.Context())
	calls := make(chan struct{}, 100)
	var listener sync.WaitGroup
	listener.Go(func() { f.Wake(ctx, 0, claimer, func() { calls <- struct{}{} }) })
	awaitCall := func(why string) {
		t.Helper()
		select {
		case <-calls:
		case <-time.After(patience):
			t.Fatal("not woken by " + why)
		}
	}
	awaitCall("the first connection")

	at := f.now(t).Add(time.Hour)
	for i := range 3 {
		for f.members(t, dueKey) == nil || len(f.members(t, dueKey)) <= i {
			f.index(t, 1, at) // until one falls into this shard
			at = at.Add(-time.Second)
		}
		awaitCall("a new head")
	}
	require.NoError(t, server.Restart(t.Context()))
	awaitCall("the connection after a restart")
	cancel()
	listener.Wait()
}
