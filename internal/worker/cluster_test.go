package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

const masters, hashSlots = 3, 16384

// someTypes declares eight types.
type someTypes struct{ testTypes }

func (someTypes) Names() (names []string) {
	for i := range 8 {
		names = append(names, fmt.Sprintf("type-%d", i))
	}
	return names
}

// While a server of a cluster is away that nobody takes over for, be it the one that says
// what comes next, the types of the others run, and its own do when it is back.
func TestAServerOfAClusterIsAway(t *testing.T) {
	t.Parallel()
	cluster, err := stores.StartCluster(t.Context(), masters, false, 500*time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	e := newEnv(t)
	e.ring, err = wheel.Open(wheel.Options{URL: cluster.URL()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.ring.Close()) })
	names := someTypes{}.Names()
	e.exec(`INSERT INTO types (name, handler, version) SELECT unnest($1::text[]), 'lease', 1`, names)

	handle := func(context.Context, *task.Task) (json.RawMessage, error) { return nil, nil }
	cfg := worker.Config{Host: "test", Concurrency: 50, Lease: 15 * time.Second, TaskTimeout: waitFor, Drain: time.Second}
	w := worker.New(e.db, e.ring, someTypes{}, func(string) (worker.Handler, bool) { return handle, true }, cfg, e.log, prometheus.NewRegistry())
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	defer running.Wait()
	defer stop()
	home := homes(t, cluster, names)

	for away, node := range cluster.Nodes {
		require.NoError(t, node.Kill())
		var here, there []task.ID
		var lost []task.Due
		for range 20 {
			for _, name := range names {
				due := e.createOf(name)
				err := e.ring.Index(t.Context(), []task.Due{due})
				if home[name] != away {
					here = append(here, due.ID)
					continue
				}
				var unreached *task.UnreachedError
				require.ErrorAs(t, err, &unreached)
				require.Equal(t, []string{name}, unreached.Types)
				lost, there = append(lost, due), append(there, due.ID)
			}
		}
		for _, id := range here {
			e.await(id, task.Done)
		}
		require.NoError(t, node.Start(t.Context()))
		require.Eventually(t, func() bool { return e.ring.Index(t.Context(), lost) == nil }, waitFor, 50*time.Millisecond)
		for _, id := range there {
			e.await(id, task.Done)
		}
	}
}

// homes are the nodes that have the rings of types.
func homes(t *testing.T, cluster *stores.Cluster, names []string) map[string]int {
	t.Helper()
	options, err := wheel.ParseURL(cluster.URL())
	require.NoError(t, err)
	options.DisableIdentity = true
	client := redis.NewUniversalClient(options)
	defer client.Close()
	home := map[string]int{}
	used := map[int]bool{}
	for _, name := range names {
		slot, err := client.ClusterKeySlot(t.Context(), "{"+name+"}").Result()
		require.NoError(t, err)
		for home[name] = 0; int(slot) >= (home[name]+1)*hashSlots/masters; {
			home[name]++
		}
		used[home[name]] = true
	}
	require.Len(t, used, masters)
	return home
}

// createOf creates a task that is due now, and does not index it.
func (e *env) createOf(name string) task.Due {
	e.t.Helper()
	id, err := uuid.NewV7()
	require.NoError(e.t, err)
	at := task.Ceil(time.Now())
	for _, created := range e.db.Create(e.t.Context(), []task.Draft{{ID: id, Type: name, ExecutionTime: at, MaxAttempts: 1}}) {
		require.NoError(e.t, created.Err)
	}
	return task.Due{Type: name, ID: id, At: at}
}
