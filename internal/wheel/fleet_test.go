package wheel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// eight types, whose rings are on all nodes of a cluster.
var eight = func() (names []string) {
	for i := range 8 {
		names = append(names, fmt.Sprintf("type-%d", i))
	}
	return names
}()

// everything does all that the wheel does, for all types at once.
func everything(t *testing.T, w *wheel.Wheel) {
	t.Helper()
	now := time.Now()
	var tasks []task.Due
	var wants []task.Want
	for i := range 80 {
		tasks = append(tasks, task.Due{ID: uuid.New(), Type: eight[i%8], At: now.Add(-time.Hour + time.Duration(i)*time.Second)})
	}
	for _, name := range eight {
		wants = append(wants, task.Want{Type: name, Limit: 20})
	}
	require.NoError(t, w.Index(t.Context(), tasks[:40]))
	added, err := w.Repair(t.Context(), tasks)
	require.NoError(t, err)
	require.Equal(t, 40, added)
	types, err := w.Types(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, eight, types)
	size, err := w.Size(t.Context(), types)
	require.NoError(t, err)
	require.EqualValues(t, 80, size)
	seen := 0
	for _, name := range types {
		require.NoError(t, w.Scan(t.Context(), name, func(ids []task.ID) error { seen += len(ids); return nil }))
	}
	require.Equal(t, 80, seen)

	agenda, err := w.Next(t.Context(), task.Ask{Worker: alice, Group: "all"})
	require.NoError(t, err)
	require.True(t, agenda.Watching)
	require.Len(t, agenda.Entries, 8)
	var dropped []task.Ref
	var back []task.DueIn
	for _, claimed := range w.Claim(t.Context(), wants, never) {
		require.NoError(t, claimed.Err)
		require.Len(t, claimed.IDs, 10)
		for i, id := range claimed.IDs {
			if i%2 == 0 {
				dropped = append(dropped, task.Ref{ID: id, Type: claimed.Type})
			} else {
				back = append(back, task.DueIn{ID: id, Type: claimed.Type})
			}
		}
	}
	require.NoError(t, w.Release(t.Context(), dropped, back))
	require.NoError(t, w.IndexIn(t.Context(), back))
	var again []task.Ref
	for _, b := range back {
		again = append(again, task.Ref{ID: b.ID, Type: b.Type})
	}
	require.NoError(t, w.Remove(t.Context(), again))
	for i, claimed := range w.Claim(t.Context(), wants, never) {
		require.NoError(t, claimed.Err)
		require.Empty(t, claimed.IDs)
		require.Negative(t, claimed.Wait)
		wants[i].Type = claimed.Type
	}
	require.NoError(t, w.Leave(t.Context(), alice, "all"))
	leads, _, err := w.Lead(t.Context(), alice, never, time.Hour, time.Time{})
	require.NoError(t, err)
	require.True(t, leads)
	_, err = w.RunID(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.NoteAudit(t.Context(), "run"))
	run, _, err := w.LastAudit(t.Context())
	require.NoError(t, err)
	require.Equal(t, "run", run)
	require.NoError(t, w.DropLegacy(t.Context(), 3))
	require.NoError(t, w.Check(t.Context()))
}

// A cluster spreads the types. Scripts that its nodes forgot are sent again.
func TestACluster(t *testing.T) {
	t.Parallel()
	cluster, err := stores.StartCluster(t.Context(), 3, true, time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	w := openWheel(t, cluster.URL())
	require.Empty(t, w.Missing(t.Context()))
	server, err := w.Server(t.Context())
	require.NoError(t, err)
	require.NoError(t, server.Supported())
	everything(t, w)

	options, err := wheel.ParseURL(cluster.URL())
	require.NoError(t, err)
	client := redis.NewClusterClient(options.Cluster())
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.NoError(t, client.ScriptFlush(t.Context()).Err())
	require.NoError(t, w.Remove(t.Context(), nil))
	_, err = client.Unlink(t.Context(), agendaKey).Result()
	require.NoError(t, err)
	everything(t, w)

	// A message that any node was given reaches every worker.
	heard := make(chan task.Entry, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	var listener sync.WaitGroup
	listener.Go(func() { w.Wake(ctx, alice, "all", func(e task.Entry) { heard <- e }, func() {}, func(string) {}) })
	defer listener.Wait()
	defer cancel()
	<-heard
	for i := range 8 {
		require.NoError(t, w.Index(t.Context(), []task.Due{{ID: uuid.New(), Type: fmt.Sprintf("another-%d", i), At: time.Now()}}))
		require.Eventually(t, func() bool { return len(heard) > i }, patience, glance)
	}

	// A replica takes over for a master that died.
	require.NoError(t, cluster.Nodes[0].Kill())
	for len(heard) > 0 {
		<-heard
	}
	require.Eventually(t, func() bool {
		claims := w.Claim(t.Context(), wantsOf(eight, 10), 0)
		failing := slices.ContainsFunc(claims, func(c task.Claimed) bool { return c.Err != nil })
		_, err := w.Next(t.Context(), task.Ask{Worker: alice, Group: "all"})
		return !failing && err == nil
	}, patience, 50*time.Millisecond)
	// Its subscription has moved too.
	for i := range 1000 {
		if len(heard) > 0 {
			break
		}
		first := task.Due{ID: uuid.New(), Type: fmt.Sprintf("new-%d", i), At: time.Now()}
		require.NoError(t, w.Index(t.Context(), []task.Due{first}))
	}
	require.Eventually(t, func() bool { return len(heard) > 0 }, patience, glance)
	require.NoError(t, cluster.Nodes[0].Start(t.Context()))
}

func wantsOf(names []string, limit int) (wants []task.Want) {
	for _, name := range names {
		wants = append(wants, task.Want{Type: name, Limit: limit})
	}
	return wants
}

// A replica takes over for a master that died, and the wheel finds it.
func TestASentinel(t *testing.T) {
	t.Parallel()
	sentinel, err := stores.StartSentinel(t.Context(), 500*time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sentinel.Close()) })
	w := openWheel(t, sentinel.URL())
	everything(t, w)
	before, err := w.RunID(t.Context())
	require.NoError(t, err)
	master, err := sentinel.Master(t.Context())
	require.NoError(t, err)
	require.NoError(t, master.Kill())
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, w.Index(t.Context(), []task.Due{{ID: uuid.New(), Type: "foo", At: time.Now()}}))
	}, patience, 50*time.Millisecond)
	after, err := w.RunID(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	require.Len(t, w.Claim(t.Context(), wantsOf([]string{"foo"}, 1), 0)[0].IDs, 1)
	require.NoError(t, master.Start(t.Context()))
}

// Every form names users and passwords that have every character, and nothing of them is
// quoted.
func TestURLs(t *testing.T) {
	t.Parallel()
	const user, password = "a%3Ab%40c", "p%2F%40%23%3F%25%3A%2B%20%3D%26"
	for _, form := range []string{
		"redis://USER:PASSWORD@h:1/2", "rediss://USER:PASSWORD@h:1/2",
		"redis+sentinel://USER:PASSWORD@h:1,i:2,j/master/2?sentinel_username=USER&sentinel_password=PASSWORD",
		"rediss+sentinel://USER:PASSWORD@h:1,i:2,j/master/2?sentinel_username=USER&sentinel_password=PASSWORD",
		"redis+cluster://USER:PASSWORD@h:1,i:2,j", "rediss+cluster://USER:PASSWORD@h:1,i:2,j",
	} {
		options, err := wheel.ParseURL(fill(form, user, password))
		require.NoError(t, err, form)
		require.Equal(t, "a:b@c", options.Username)
		require.Equal(t, "p/@#?%:+ =&", options.Password)
		require.Equal(t, form[:6] == "rediss", options.TLSConfig != nil)
		switch {
		case options.MasterName != "":
			require.Equal(t, []string{"h:1", "i:2", "j:26379"}, options.Addrs)
			require.Equal(t, "a:b@c", options.SentinelUsername)
			require.Equal(t, "p/@#?%:+ =&", options.SentinelPassword)
			require.Equal(t, 2, options.DB)
		case options.IsClusterMode:
			require.Equal(t, []string{"h:1", "i:2", "j:6379"}, options.Addrs)
		default:
			require.Equal(t, []string{"h:1"}, options.Addrs)
			require.Equal(t, 2, options.DB)
		}
	}
	for _, form := range []string{
		"redis+cluster://:secret@h:6379/3", "redis+cluster://:secret@", "redis+cluster://:sec%ret@h", "redis+cluster://h?secret=1",
		"redis+sentinel://:secret@h", "redis+sentinel://:secret@h/m/x", "redis+sentinel://:secret@h/m/-1",
		"redis+sentinel://:secret@h/m?secret=1", "redis+sentinel://:secret@h:port/m", "redis+other://:secret@h",
	} {
		_, err := wheel.ParseURL(form)
		require.ErrorContains(t, err, "REDIS_URL", form)
		require.NotContains(t, err.Error(), "secret")
	}
}

func fill(form, user, password string) string {
	return strings.NewReplacer("USER", user, "PASSWORD", password).Replace(form)
}
