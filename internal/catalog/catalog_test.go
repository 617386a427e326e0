package catalog_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/catalog"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience, glance = 20 * time.Second, 5 * time.Millisecond

// counted is the real Postgres, and counts the questions.
type counted struct {
	*postgres.DB
	asked atomic.Int64
}

func (c *counted) Types(ctx context.Context, since int64) (task.Types, error) {
	c.asked.Add(1)
	return c.DB.Types(ctx, since)
}

func open(t *testing.T, url string) *counted {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Work: 2, Reads: 2}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return &counted{DB: db}
}

// follow runs a catalog until the test ends.
func follow(t *testing.T, store catalog.Store) *catalog.Catalog {
	t.Helper()
	c := catalog.New(store, slog.New(slog.DiscardHandler))
	require.NoError(t, c.Refresh(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

func requireShipped(t *testing.T, c *catalog.Catalog) {
	t.Helper()
	for _, name := range task.Shipped() {
		_, ok := c.Type(name)
		require.True(t, ok, name)
	}
}

func TestChangesOfAnotherNodeAreKnown(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	db := open(t, url)
	c := follow(t, open(t, url))
	requireShipped(t, c)
	<-c.Changed() // the first look
	put := func(paused bool) {
		_, _, err := db.PutType(t.Context(), task.Type{Name: "mine", Handler: task.Lease, MaxAttempts: 1, Paused: paused})
		require.NoError(t, err)
	}
	put(false)
	_, found, err := c.Find("mine")
	require.NoError(t, err)
	require.True(t, found, "whoever asks after the answer to the put finds it")
	put(true)
	require.Eventually(t, func() bool { known, _ := c.Type("mine"); return known.Paused }, patience, glance)
	<-c.Changed()
	require.NoError(t, db.DeleteType(t.Context(), "mine"))
	require.Eventually(t, func() bool { _, ok := c.Type("mine"); return !ok }, patience, glance)
}

// Names that clients make up are no way to load Postgres.
func TestUnknownNamesAskSeldom(t *testing.T) {
	t.Parallel()
	db := open(t, testkit.Postgres(t))
	c := catalog.New(db, slog.New(slog.DiscardHandler))
	require.NoError(t, c.Refresh(t.Context()))
	start := time.Now()
	var clients sync.WaitGroup
	for range 200 {
		clients.Go(func() {
			for range 5 {
				if _, ok, _ := c.Find("none"); ok {
					t.Error("an unknown name was found")
				}
			}
		})
	}
	clients.Wait()
	require.LessOrEqual(t, db.asked.Load(), 2+int64(time.Since(start)/catalog.MissPace))
}

func TestWhatWasKnownLastHoldsWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	server := testkit.OwnPostgres(t)
	db := open(t, server.URL())
	c := follow(t, db)
	require.NoError(t, server.Stop())
	require.Error(t, c.Refresh(t.Context()))
	_, ok, err := c.Find("none")
	require.False(t, ok)
	require.Error(t, err, "it may be declared")
	requireShipped(t, c)
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool { return c.Refresh(t.Context()) == nil }, patience, glance)
}
