package worker

import (
	"context"
	"errors"
	"fmt"
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
	// trustedUntil is until when, by the monotonic clock, the lease is live for
	// certain: counted from the start of the last renewal that succeeded.
	trustedUntil time.Time
	renewed      chan struct{} // closed and replaced by each renewal
}

func newSession(sessionCtx, drained context.Context) *session {
	s := &session{id: uuid.New(), renewed: make(chan struct{})}
	s.ctx, s.lose = context.WithCancelCause(sessionCtx)
	handlers, stop := context.WithCancelCause(s.ctx)
	s.handlers = handlers
	forget := context.AfterFunc(drained, func() { stop(context.Cause(drained)) })
	// A worker may have many sessions in its life: none of them stays behind.
	context.AfterFunc(s.ctx, func() { forget() })
	return s
}

// leaseRenewed notes a renewal of the lease that began at start. A tenth of the lease
// is left for clocks that do not run at the same rate.
func (s *session) leaseRenewed(start time.Time, lease time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trustedUntil = start.Add(lease - lease/10)
	close(s.renewed)
	s.renewed = make(chan struct{})
}

// waitUntilLive waits until the lease is live for certain. It is false if the session
// was lost or ctx ended.
func (s *session) waitUntilLive(ctx context.Context) bool {
	for {
		s.mu.Lock()
		trusted, renewed := time.Now().Before(s.trustedUntil), s.renewed
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
		if s.waitUntilLive(ctx) {
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

// renewTimeout bounds one try to renew a lease or to open a session. What hangs
// is given up soon: a live session has to be renewed within moments after an
// outage of Postgres, before others may judge it (see postgres.DB.Reap).
func (w *Worker) renewTimeout() time.Duration { return min(w.cfg.Lease/3, 2*time.Second) }

// renewPause is how long after a failed try the next one comes.
const renewPause = 500 * time.Millisecond

// register opens a new session, for as long as sessionCtx lasts, trying until ctx ends.
func (w *Worker) register(ctx, sessionCtx context.Context) error {
	s := newSession(sessionCtx, w.drained)
	for failed := false; ; failed = true {
		start := time.Now()
		err := w.registerOnce(ctx, s)
		if err == nil {
			s.leaseRenewed(start, w.cfg.Lease)
			w.session.replace(s)
			w.log.Info("session is open", "session", s.id, "lease_seconds", w.cfg.Lease.Seconds())
			return nil
		}
		if ctx.Err() != nil {
			s.lose(err)
			return fmt.Errorf("open a session: %w", err)
		}
		if errors.Is(err, task.ErrSessionLost) {
			// Committed without a reply, and declared dead since: another one.
			s.lose(err)
			s = newSession(sessionCtx, w.drained)
		}
		if !failed {
			w.log.Warn("session cannot be opened yet", "error", err)
		}
		sleep(ctx, renewPause)
	}
}

func (w *Worker) registerOnce(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, w.renewTimeout())
	defer cancel()
	return w.store.Register(ctx, s.id, w.cfg.Host, w.cfg.Lease)
}

// keepSession is the heartbeat: it renews the lease three times in its length,
// and opens a new session when this one was declared dead.
func (w *Worker) keepSession(sessionCtx context.Context) {
	pace := w.cfg.Lease / 3
	for wait := pace; ; {
		select {
		case <-sessionCtx.Done():
			return
		case <-time.After(wait):
		}
		s := w.session.current()
		err := w.renew(sessionCtx, s)
		switch {
		case sessionCtx.Err() != nil:
			return
		case errors.Is(err, task.ErrSessionLost):
			w.log.Warn("session was declared dead, its handlers are cancelled", "session", s.id)
			w.metrics.sessionsLost.Inc()
			s.lose(task.ErrSessionLost)
			if err := w.register(sessionCtx, sessionCtx); err != nil {
				w.log.Error("no new session", "error", err)
				return
			}
			wait = pace
		case err != nil:
			w.log.Warn("heartbeat failed", "session", s.id, "error", err)
			w.metrics.renewsFailed.Inc()
			wait = min(pace, renewPause)
		default:
			wait = pace
		}
	}
}

func (w *Worker) renew(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, w.renewTimeout())
	defer cancel()
	start := time.Now()
	if err := w.store.Renew(ctx, s.id, w.cfg.Lease); err != nil {
		return err
	}
	s.leaseRenewed(start, w.cfg.Lease)
	if closed := s.receipts.takeClosed(); !closed.Empty() {
		// Nothing has ended lately that could have taken them along.
		if _, err := w.store.Finish(ctx, s.id, nil, closed, true); err != nil {
			s.receipts.putBack(closed)
			w.log.Debug("receipts are removed later", "error", err)
		}
	}
	return nil
}

// Session is the worker's present session, or the zero UUID before the first.
func (w *Worker) Session() uuid.UUID {
	if s := w.session.current(); s != nil {
		return s.id
	}
	return uuid.Nil
}
