package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

var errAway = errors.New("away")

// memory stands for both stores in a bubble of package synctest, where sockets cannot
// be: it answers at once, or as a test says. What crosses the stores is tested on real
// ones.
type memory struct {
	mu      sync.Mutex
	due     []task.ID
	attempt map[task.ID]int
	// claimed, renewed and registered are when the calls came that succeeded.
	claimed, renewed, registered []time.Time
	tries                        []time.Time // of renewals and of claims that failed
	ended                        map[task.ID]task.Finish
	endedAt                      map[task.ID]time.Time
	requeued                     []task.DueIn
	sessions                     []uuid.UUID
	over                         time.Time // when the last session was ended
	cancels                      []task.ID
	looks                        int                  // for what is to be cancelled
	tell                         func(session string) // that there is something to cancel

	renew, claim, finish error // what these calls fail with
}

func newMemory() *memory {
	return &memory{attempt: map[task.ID]int{}, ended: map[task.ID]task.Finish{}, endedAt: map[task.ID]time.Time{}}
}

// add makes a task due.
func (m *memory) add() task.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := uuid.New()
	m.due = append(m.due, id)
	return id
}

// set changes what calls fail with.
func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// end is how a task ended, and when.
func (m *memory) end(id task.ID) (end task.Finish, at time.Time, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	end, ended = m.ended[id]
	return end, m.endedAt[id], ended
}

func (m *memory) Register(_ context.Context, session uuid.UUID, _ string, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registered = append(m.registered, time.Now())
	m.sessions = append(m.sessions, session)
	return nil
}

func (m *memory) Renew(_ context.Context, session uuid.UUID, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.renew != nil && session == m.sessions[0] {
		m.tries = append(m.tries, time.Now())
		return m.renew
	}
	m.renewed = append(m.renewed, time.Now())
	return nil
}

func (m *memory) End(context.Context, uuid.UUID) (task.Reaped, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = time.Now()
	return task.Reaped{}, nil
}

func (m *memory) Start(_ context.Context, session uuid.UUID, _ int64, _ []string, ids []task.ID) ([]task.Task, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	started := make([]task.Task, len(ids))
	for i, id := range ids {
		m.attempt[id]++
		started[i] = task.Task{ID: id, Type: "test", Attempt: m.attempt[id], WorkerID: session, StartedAt: time.Now(), DueAt: time.Now()}
	}
	return started, false, nil
}

func (m *memory) StartCounted(
	ctx context.Context, session uuid.UUID, seq int64, _ string, ids []task.ID,
) (started []task.Task, full, retried bool, err error) {
	started, retried, err = m.Start(ctx, session, seq, nil, ids)
	return started, false, retried, err
}

func (m *memory) AddRoom(context.Context, map[string]int) error { return nil }

func (m *memory) Refused(context.Context, []task.ID) ([]task.DueIn, error) { return nil, nil }

func (m *memory) Finish(ctx context.Context, _ uuid.UUID, ended []task.Finish, _ task.Closed, _ bool) ([]task.Finished, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.finish != nil {
		m.tries = append(m.tries, time.Now())
		return nil, m.finish
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	answers := make([]task.Finished, len(ended))
	for i, end := range ended {
		m.ended[end.ID], m.endedAt[end.ID] = end, time.Now()
		answers[i].Status = task.Done
		if end.Failure != nil {
			answers[i].Status = task.Failed
		}
	}
	return answers, nil
}

func (m *memory) Next(context.Context, task.Ask) (task.Agenda, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claim != nil {
		m.tries = append(m.tries, time.Now())
		return task.Agenda{}, m.claim
	}
	agenda := task.Agenda{Watching: true}
	if len(m.due) > 0 {
		agenda.Entries = []task.Entry{{Type: "test"}}
	}
	return agenda, nil
}

func (m *memory) Claim(_ context.Context, wants []task.Want, _ time.Duration) []task.Claimed {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := task.Claimed{Type: wants[0].Type, Err: m.claim}
	if m.claim != nil {
		m.tries = append(m.tries, time.Now())
		return []task.Claimed{c}
	}
	m.claimed = append(m.claimed, time.Now())
	n := min(wants[0].Limit, len(m.due))
	c.IDs, m.due = m.due[:n:n], m.due[n:]
	if len(m.due) == 0 {
		c.Wait = -1
	}
	return []task.Claimed{c}
}

func (m *memory) Leave(context.Context, uuid.UUID, string) error { return nil }

func (m *memory) Release(_ context.Context, _ []task.Ref, back []task.DueIn) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requeued = append(m.requeued, back...)
	return nil
}

func (m *memory) IndexIn(context.Context, []task.DueIn) error { return nil }

func (m *memory) Wake(ctx context.Context, _ uuid.UUID, _ string, _ func(task.Entry), _ func(), cancels func(string)) {
	m.mu.Lock()
	m.tell = cancels
	m.mu.Unlock()
	<-ctx.Done()
}

func (m *memory) Cancels(context.Context, uuid.UUID) ([]task.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	return m.cancels, nil
}

// bubble runs a worker on memory in a bubble, whose clock goes on only when all of it
// waits, and stops it when the test is over.
func bubble(t *testing.T, cfg worker.Config, handle worker.Handler, test func(t *testing.T, m *memory, stop context.CancelFunc)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		lookup := func(string) (worker.Handler, bool) { return handle, true }
		w := worker.New(m, m, testTypes{}, lookup, cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		test(t, m, stop)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
