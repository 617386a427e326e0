package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// attemptContext is the context of one attempt: it ends with the attempt's time, with its
// session, with the attempt, and when it is cancelled. Most handlers that take a moment never look at it, so the
// timer and the channel are made when the first one asks for them.
type attemptContext struct {
	session  context.Context //nolint:containedctx // it is one
	deadline time.Time

	mu   sync.Mutex
	made atomic.Pointer[madeContext]
}

type madeContext struct {
	context.Context //nolint:containedctx // as above

	stop   context.CancelFunc
	cancel context.CancelCauseFunc
}

func (c *attemptContext) begin(session context.Context, deadline time.Time) {
	c.session, c.deadline = session, deadline
}

// make returns the context with its timer.
func (c *attemptContext) make() *madeContext {
	if made := c.made.Load(); made != nil {
		return made
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.made.Load(); made != nil {
		return made
	}
	timed, stop := context.WithDeadline(c.session, c.deadline)
	ctx, cancel := context.WithCancelCause(timed)
	made := &madeContext{ctx, stop, cancel}
	c.made.Store(made)
	return made
}

// end releases the timer, if there is one. A handler that goes on is told.
func (c *attemptContext) end() {
	if made := c.made.Load(); made != nil {
		made.stop()
	}
}

// cancel ends the context before its time, for a reason that the handler can ask for.
func (c *attemptContext) cancel(cause error) { c.make().cancel(cause) }

// cause is why the context has ended, if it has. It makes nothing: without a timer nobody has
// asked for it or cancelled it.
func (c *attemptContext) cause() error {
	if made := c.made.Load(); made != nil {
		return context.Cause(made)
	}
	return nil
}

// Deadline is when the attempt's time is over.
func (c *attemptContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done is closed when the context ends.
func (c *attemptContext) Done() <-chan struct{} { return c.make().Done() }

// Err says why the context has ended, if it has.
func (c *attemptContext) Err() error { return c.make().Err() }

// Value is that of the session's context. What derives a context has asked for Done
// before, and finds the one with the timer.
func (c *attemptContext) Value(key any) any {
	if made := c.made.Load(); made != nil {
		return made.Value(key)
	}
	return c.session.Value(key)
}
