package scheduler_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/wheel"
)

func TestCreateBulkIndexesWhatIsDueWithinTheWindow(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	all := []task.Draft{
		draft(never), draft(-time.Second), draft(soon), draft(horizon + scheduler.Margin + time.Minute), draft(horizon),
	}
	all[2].ExecutionTime = all[2].ExecutionTime.Truncate(time.Microsecond).Add(1)
	ids, err := s.CreateBulk(t.Context(), "key", all)
	require.NoError(t, err)
	require.Len(t, ids, len(all))
	f.requireIndexed(t, []string{ids[1].String(), ids[2].String(), ids[4].String()})
	rounded, err := f.db.Get(t.Context(), ids[2])
	require.NoError(t, err)
	require.Equal(t, all[2].ExecutionTime.UnixMicro(), rounded.ExecutionTime.UnixMicro())
	require.Zero(t, rounded.ExecutionTime.Nanosecond()%1000)

	again, err := s.CreateBulk(t.Context(), "key", all)
	require.NoError(t, err)
	require.Equal(t, ids, again)
}

func TestRefusedBulkLeavesNothing(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.scheduler()
	all := []task.Draft{draft(soon), draft(soon), draft(soon)}
	all[1].Payload = json.RawMessage(`{"a":`)
	_, err := s.CreateBulk(t.Context(), "", all)
	var rejected *task.RejectedError
	require.ErrorAs(t, err, &rejected)
	require.Zero(t, f.count(t, "true"))
	f.requireIndexed(t, nil)
}

// lanes is the real Postgres, which holds bulk creates back and counts them.
type lanes struct {
	*postgres.DB
	entered chan struct{}
	open    chan struct{}

	mu        sync.Mutex
	now, most int
}

func (l *lanes) CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.Created, error) {
	l.enter(1)
	defer l.enter(-1)
	l.entered <- struct{}{}
	<-l.open
	return l.DB.CreateBulk(ctx, key, drafts)
}

func (l *lanes) enter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.most = max(l.most, l.now)
}

// Bulk creates leave connections to others, however many clients send them.
func TestBulkCreatesAreBounded(t *testing.T) {
	t.Parallel()
	const clients = 10
	f := open(t)
	store := &lanes{DB: f.db, entered: make(chan struct{}, clients), open: make(chan struct{})}
	s := scheduler.New(store, f.ring, horizon, f.log)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if _, err := s.CreateBulk(t.Context(), "", []task.Draft{draft(soon)}); err != nil {
				t.Errorf("create in bulk: %v", err)
			}
		})
	}
	for range scheduler.BulkLanes {
		<-store.entered
	}
	close(store.open)
	all.Wait()
	require.Equal(t, scheduler.BulkLanes, store.most)
	require.Equal(t, clients, f.count(t, "true"))
}

// heldRing is the real due index, which holds indexing back for longer than a
// client waits for it.
type heldRing struct {
	*wheel.Wheel
	entered chan struct{}
	open    chan struct{}
}

func (r *heldRing) Index(ctx context.Context, tasks []task.Due) error {
	r.entered <- struct{}{}
	<-r.open
	return r.Wheel.Index(context.WithoutCancel(ctx), tasks)
}

// Redis must not keep Postgres from the next bulk create.
func TestBulkCreatesAreIndexedBesideTheNext(t *testing.T) {
	t.Parallel()
	const clients = scheduler.BulkLanes + 1
	f := open(t)
	ring := &heldRing{Wheel: f.ring, entered: make(chan struct{}, clients), open: make(chan struct{})}
	s := scheduler.New(f.db, ring, horizon, f.log)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if _, err := s.CreateBulk(t.Context(), "", []task.Draft{draft(soon)}); err != nil {
				t.Errorf("create in bulk: %v", err)
			}
		})
	}
	patient, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range clients {
		select {
		case <-ring.entered:
		case <-patient.Done():
			t.Error("a bulk create waits for those that are being indexed")
		}
	}
	close(ring.open)
	all.Wait()
}
