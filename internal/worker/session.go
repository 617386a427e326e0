package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// session is one life of this worker in the eyes of the system of record.
type session struct {
	id uuid.UUID
	// ctx ends when the session is lost, with task.ErrSessionLost as its cause.
	ctx  context.Context //nolint:containedctx // its life is the session's
	lose context.CancelCauseFunc
	// handlers is what the handlers' contexts descend from. It ends with the
	// session, or earlier when the worker's drain time is over.
	handlers context.Context //nolint:containedctx // as above

	seq      atomic.Int64
	receipts receipts

	mu sync.Mutex
	// trusted is until when, by the monotonic clock, the lease is live for
	// certain: counted from the start of the last renewal that succeeded.
	trusted time.Time
	// since is when the present run of successful renewals began.
	since   time.Time
	renewed chan struct{} // closed and replaced by each renewal
}

func newSession(alive, drained context.Context) *session {
	s := &session{id: uuid.New(), renewed: make(chan struct{})}
	s.ctx, s.lose = context.WithCancelCause(alive)
	handlers, stop := context.WithCancelCause(s.ctx)
	context.AfterFunc(drained, func() { stop(context.Cause(drained)) })
	s.handlers = handlers
	return s
}

// hold notes a renewal of the lease that began at start. A tenth of the lease
// is left for clocks that do not run at the same rate.
func (s *session) hold(start time.Time, lease time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trusted = start.Add(lease - lease/10)
	if s.since.IsZero() {
		s.since = start
	}
	close(s.renewed)
	s.renewed = make(chan struct{})
}

// doubt notes a renewal that failed.
func (s *session) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
}

// await waits until the lease is live for certain. It is false if the session
// was lost or ctx ended.
func (s *session) await(ctx context.Context) bool {
	for {
		s.mu.Lock()
		trusted, renewed := time.Now().Before(s.trusted), s.renewed
		s.mu.Unlock()
		if s.ctx.Err() != nil || ctx.Err() != nil {
			return false
		}
		if trusted {
			return true
		}
		select {
		case <-renewed:
		case <-s.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// sessionHolder hands out the present session.
type sessionHolder struct {
	mu      sync.Mutex
	session *session
	changed chan struct{} // closed and replaced when there is another one
}

func (h *sessionHolder) current() *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session
}

func (h *sessionHolder) replace(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session = s
	close(h.changed)
	h.changed = make(chan struct{})
}

// live waits for a session whose lease is live for certain. It is nil if ctx
// ended.
func (h *sessionHolder) live(ctx context.Context) *session {
	for ctx.Err() == nil {
		h.mu.Lock()
		s, changed := h.session, h.changed
		h.mu.Unlock()
		if s.await(ctx) {
			return s
		}
		if s.ctx.Err() == nil {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// register opens a new session, for as long as alive, trying until ctx ends.
func (w *Worker) register(ctx, alive context.Context) error {
	s := newSession(alive, w.drained)
	start := time.Now()
	if err := w.store.Register(ctx, s.id, w.cfg.Host, w.cfg.Lease); err != nil {
		s.lose(err)
		return err
	}
	// A registration that took long was tried again, and the last try counts
	// from its own start. The first heartbeat clears it up.
	s.hold(start, w.cfg.Lease)
	w.session.replace(s)
	w.log.Info("session is open", "session", s.id, "lease_seconds", w.cfg.Lease.Seconds())
	return nil
}

// keepSession is the heartbeat: it renews the lease three times in its length,
// and opens a new session when this one was declared dead.
func (w *Worker) keepSession(alive context.Context) {
	pace := w.cfg.Lease / 3
	for wait := pace; ; {
		select {
		case <-alive.Done():
			return
		case <-time.After(wait):
		}
		s := w.session.current()
		err := w.renew(alive, s)
		switch {
		case alive.Err() != nil:
			return
		case errors.Is(err, task.ErrSessionLost):
			w.log.Warn("session was declared dead, its handlers are cancelled", "session", s.id)
			w.metrics.sessionsLost.Inc()
			s.lose(task.ErrSessionLost)
			if err := w.register(alive, alive); err != nil {
				w.log.Error("no new session", "error", err)
				return
			}
			wait = pace
		case err != nil:
			w.log.Warn("heartbeat failed", "session", s.id, "error", err)
			s.doubt()
			wait = min(pace, 500*time.Millisecond)
		default:
			wait = pace
		}
	}
}

func (w *Worker) renew(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
	defer cancel()
	start := time.Now()
	if err := w.store.Renew(ctx, s.id, w.cfg.Lease); err != nil {
		return err
	}
	s.hold(start, w.cfg.Lease)
	if closed := s.receipts.takeClosed(); len(closed) > 0 {
		// Nothing has ended lately that could have taken them along.
		if _, err := w.store.Finish(ctx, s.id, nil, closed); err != nil {
			s.receipts.putBack(closed)
			return err
		}
	}
	return nil
}

// MayReap reports whether this worker can judge others by their leases. It
// cannot if its own renewals failed a moment ago: then Postgres was out of
// reach, and the others need a moment to renew theirs.
func (w *Worker) MayReap() bool {
	s := w.session.current()
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return now.Before(s.trusted) && !s.since.IsZero() && now.Sub(s.since) > Grace
}
