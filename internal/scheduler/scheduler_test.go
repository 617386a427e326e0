package scheduler_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit"
)

// countedRing is the real due index, and how often it was asked to write. It
// waits longer than a create does, so that a busy machine does not look like a
// Redis that is down.
type countedRing struct {
	*wheel.Wheel
	calls atomic.Int64
}

func (c *countedRing) Index(ctx context.Context, tasks []task.Due) error {
	c.calls.Add(1)
	return c.Wheel.Index(context.WithoutCancel(ctx), tasks)
}

func (c *countedRing) Remove(ctx context.Context, ids []task.Ref) error {
	c.calls.Add(1)
	return c.Wheel.Remove(context.WithoutCancel(ctx), ids)
}

// heldStore is the real Postgres, which counts its commits and lets none
// through before open is closed.
type heldStore struct {
	*postgres.DB
	commits atomic.Int64
	open    chan struct{}
}

func (h *heldStore) Create(ctx context.Context, drafts []task.Draft) []task.Created {
	h.commits.Add(1)
	<-h.open
	return h.DB.Create(ctx, drafts)
}

func TestCreateIndexesWhatIsDueWithinTheWindow(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	var want []string
	for _, in := range []time.Duration{-never, -time.Second, 0, soon, horizon, horizon + scheduler.Margin - time.Second} {
		want = append(want, f.create(t, s, draft(in)).String())
	}
	for _, in := range []time.Duration{horizon + scheduler.Margin + time.Second, never, 10 * 365 * never} {
		f.create(t, s, draft(in))
	}
	require.Equal(t, 9, f.count(t, "status = 'submitted'"))
	f.requireIndexed(t, want)
}

// Postgres and Redis hold whole microseconds. A finer time is rounded up in
// both, or the task would run early.
func TestCreateRoundsUp(t *testing.T) {
	t.Parallel()
	f := open(t)
	at := time.Now().Add(soon).Truncate(time.Microsecond)
	for _, finer := range []time.Duration{0, 1, 999} {
		id := f.create(t, f.scheduler(), task.Draft{Type: "foo", ExecutionTime: at.Add(finer), MaxAttempts: 1})
		want := at
		if finer > 0 {
			want = at.Add(time.Microsecond)
		}
		found, err := f.db.Get(t.Context(), id)
		require.NoError(t, err)
		require.True(t, want.Equal(found.ExecutionTime))
		score, err := f.redis.ZScore(t.Context(), dueKey, id.String()).Result()
		require.NoError(t, err)
		require.Equal(t, want.UnixMicro(), int64(score))
	}
}

func TestCreateWithAKeyIsOneTask(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	d := draft(soon)
	d.Key = "order-17"
	first := f.create(t, s, d)
	require.Equal(t, first, f.create(t, s, d))
	other := d
	other.Type = "bar"
	_, err := s.Create(t.Context(), other)
	require.ErrorIs(t, err, task.ErrKeyReused)
	f.requireIndexed(t, []string{first.String()})
}

// A client that goes away gives up its place. What was handed to Postgres by then
// is created and indexed, and nothing else is.
func TestCreateOfAClientThatGoesAway(t *testing.T) {
	t.Parallel()
	f := open(t)
	store := &heldStore{DB: f.db, open: make(chan struct{})}
	s := scheduler.New(store, f.ring, horizon, f.log)
	ctx, leave := context.WithCancel(t.Context())
	answers := make(chan error, 2)
	create := func() {
		_, err := s.Create(ctx, draft(soon))
		answers <- err
	}
	go create()
	require.Eventually(t, func() bool { return store.commits.Load() == 1 }, patience, glance)
	go create()
	require.Eventually(t, func() bool { return s.Pending() == 1 }, patience, glance)
	leave()
	first, second := <-answers, <-answers
	require.Equal(t, 1, count(task.ErrUnknownOutcome, first, second))
	require.Equal(t, 1, count(task.ErrUnavailable, first, second))
	close(store.open)
	require.Eventually(t, func() bool { return len(f.indexed(t)) == 1 }, patience, glance)
	require.Equal(t, 1, f.count(t, "true"))

	id := f.create(t, s, draft(soon))
	require.NoError(t, s.Delete(ctx, id), "a delete is carried out all the same")
}

func count(want error, errs ...error) (n int) {
	for _, err := range errs {
		if errors.Is(err, want) {
			n++
		}
	}
	return n
}

// What holds up a create with a key, or one that is large, holds up no others.
func TestCreatesOfAKindWaitForTheirOwnKindOnly(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	tx, err := f.sql.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO tasks (id, task_type, execution_time, due_at, idempotency_key)
		VALUES (gen_random_uuid(), 'foo', now(), now(), 'taken')`)
	require.NoError(t, err)
	keyed := make(chan error, 1)
	go func() {
		d := draft(soon)
		d.Key = "taken"
		_, err := s.Create(t.Context(), d)
		keyed <- err
	}()
	for range 50 {
		f.create(t, s, draft(soon))
	}
	require.Empty(t, keyed)
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-keyed)
}

// More than can be held is refused at once, and not late.
func TestCreatesThatFindNoRoomAreRefused(t *testing.T) {
	t.Parallel()
	f := open(t)
	store := &heldStore{DB: f.db, open: make(chan struct{})}
	s := scheduler.New(store, f.ring, horizon, f.log)
	large := draft(never)
	large.Payload = json.RawMessage(`{"x":"` + strings.Repeat("x", 250_000) + `"}`)
	const clients = 100
	answers := make(chan error, clients)
	for range clients {
		go func() {
			_, err := s.Create(t.Context(), large)
			answers <- err
		}()
	}
	require.ErrorIs(t, <-answers, task.ErrOverloaded)
	close(store.open)
	created, refused := 0, 1
	for range clients - 1 {
		if err := <-answers; err == nil {
			created++
		} else {
			require.ErrorIs(t, err, task.ErrOverloaded)
			refused++
		}
	}
	require.Equal(t, created, f.count(t, "true"), "what was refused does not exist")
	require.Positive(t, created)
	require.Positive(t, refused)
}

// An API that is told to stop tells Redis what it still had to.
func TestCloseTellsRedisWhatItMissed(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	s := f.scheduler()
	require.NoError(t, server.Stop())
	id := f.create(t, s, draft(soon))
	require.NoError(t, server.Start(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	f.requireIndexed(t, []string{id.String()})
	require.NoError(t, s.Close(t.Context()))
}

func TestDeleteEmptiesBothRings(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	id, other := f.create(t, s, draft(soon)), f.create(t, s, draft(soon))
	for range 2 { // asked again, the answer is the same
		require.NoError(t, s.Delete(t.Context(), id))
		f.requireIndexed(t, []string{other.String()})
	}
	found, err := f.db.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, task.Deleted, found.Status)
	require.ErrorIs(t, s.Delete(t.Context(), uuid.New()), task.ErrNotFound)

	started := f.create(t, s, draft(-time.Second))
	f.session(t, started)
	var refusal *task.StatusError
	require.ErrorAs(t, s.Delete(t.Context(), started), &refusal)
	require.Equal(t, task.Started, refusal.Status)

	page, err := f.db.List(t.Context(), task.Filter{Status: task.Submitted, Limit: 10})
	require.NoError(t, err)
	require.Nil(t, page.Next)
	require.Len(t, page.Tasks, 1)
	require.Equal(t, other, page.Tasks[0].ID)
}

// Group commit: two hundred clients at once are a handful of statements.
func TestConcurrentCreatesShareStatements(t *testing.T) {
	t.Parallel()
	const clients = 200
	f := open(t)
	store := &heldStore{DB: f.db, open: make(chan struct{})}
	ring := &countedRing{Wheel: f.ring}
	s := scheduler.New(store, ring, horizon, f.log)
	ids := make([]string, clients)
	var arriving, answered sync.WaitGroup
	arriving.Add(clients)
	for i := range clients {
		answered.Go(func() {
			arriving.Done()
			id, err := s.Create(t.Context(), draft(soon))
			if err != nil {
				t.Errorf("create: %v", err)
			}
			ids[i] = id.String()
		})
	}
	arriving.Wait()
	close(store.open)
	answered.Wait()
	f.requireIndexed(t, ids)
	require.Less(t, store.commits.Load(), int64(clients/10))
	require.Equal(t, store.commits.Load(), ring.calls.Load())
}

// Redis down must never fail a create, nor make each of a burst wait for it.
func TestCreatesGoOnWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testkit.OwnRedis(t)
	f := openAt(t, server.URL())
	ring := &countedRing{Wheel: f.ring}
	s := scheduler.New(f.db, ring, horizon, f.log)
	before := f.create(t, s, draft(soon))
	require.NoError(t, server.Stop())

	ring.calls.Store(0)
	start := time.Now()
	var ids []string
	for range 50 {
		ids = append(ids, f.create(t, s, draft(soon)).String())
	}
	deleted := f.create(t, s, draft(soon))
	require.NoError(t, s.Delete(t.Context(), deleted))
	require.NoError(t, s.Delete(t.Context(), before))
	spent := time.Since(start)
	require.Positive(t, ring.calls.Load())
	require.LessOrEqual(t, ring.calls.Load(), 1+int64(spent/scheduler.RedisRetryInterval))

	// Once it is back it learns what it missed from the one who created it: no
	// maintenance runs here. What was deleted meanwhile goes too.
	require.NoError(t, server.Start(t.Context()))
	slices.Sort(ids)
	require.Eventually(t, func() bool {
		indexed := f.indexed(t)
		slices.Sort(indexed)
		return slices.Equal(indexed, ids)
	}, patience, glance)

	// It is no longer degraded after that.
	require.Eventually(t, func() bool {
		id := f.create(t, s, draft(soon))
		return f.redis.ZScore(t.Context(), dueKey, id.String()).Err() == nil
	}, patience, 100*time.Millisecond)
}
