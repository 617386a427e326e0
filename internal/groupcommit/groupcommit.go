// Package groupcommit is group commit: many callers, one crossing of the network.
//
// While one flush is in flight the next one gathers, and nothing is held back
// to fill a batch: an item that finds no flush in flight is flushed at once. The
// batch size therefore follows the load by itself. A second flush goes beside
// the first only with a full batch, since two halves cost more than a whole; or
// when the first one is slow: then it may wait for something that concerns its own
// items only, a lock or a dead connection, and the others go without it.
package groupcommit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var (
	// ErrNotSent is joined to the context's error when a caller gave up before
	// its item was handed to a flush: nothing happened and nothing will.
	ErrNotSent = errors.New("not sent")
	// ErrFull says that too much waits already: nothing happened and nothing will.
	ErrFull = errors.New("too much is waiting")
)

// slowAfter is how long a flush may take before others no longer wait for it.
const slowAfter = 50 * time.Millisecond

// Flush carries out a batch of at least one item. It calls answer once, with one
// result per item, in order, or with an error that stands for all of them. The
// lane is free when it returns; answer may be called later, when more has been
// done for the batch beside the next flush.
type Flush[In, Out any] func(items []In, answer func([]Out, error))

// Config shapes a group.
type Config[In any] struct {
	// Items and Bytes are the most that one flush takes. A single item may be
	// larger than Bytes.
	Items, Bytes int
	// Lanes is how many flushes are in flight at a time, and MaxLanes how many
	// with those that are slow.
	Lanes, MaxLanes int
	// Waiting is how many bytes may wait for a flush before Do refuses more.
	// Zero does not bound them.
	Waiting int
	// Size is an item's size in bytes. Nil stands for zero.
	Size func(In) int
}

// Group gathers items and flushes them. It owns no goroutine and no timer while
// it is idle and needs no closing.
type Group[In, Out any] struct {
	cfg   Config[In]
	flush Flush[In, Out]

	mu      sync.Mutex
	pending []*item[In, Out]
	bytes   int     // of what is pending
	lanes   []*lane // in use
	watched bool    // a timer looks for slow flushes
}

type item[In, Out any] struct {
	in   In
	size int
	out  Out
	err  error
	done chan struct{} // nil if nobody waits
}

// lane is one flush in flight.
type lane struct {
	since time.Time
	slow  bool
}

// New makes a group.
func New[In, Out any](cfg Config[In], flush Flush[In, Out]) *Group[In, Out] {
	if cfg.Size == nil {
		cfg.Size = func(In) int { return 0 }
	}
	return &Group[In, Out]{cfg: cfg, flush: flush}
}

// Do hands one item over and waits for its result. If ctx ends first, its
// error is returned: with ErrNotSent if the item was taken back in time, and
// without it if a flush carries it and the outcome is not known.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	it := &item[In, Out]{in: in, size: g.cfg.Size(in), done: make(chan struct{})}
	var none Out
	if !g.add(it, g.cfg.Waiting) {
		return none, ErrFull
	}
	select {
	case <-it.done:
		return it.out, it.err
	case <-ctx.Done():
	}
	if g.withdraw(it) {
		return none, errors.Join(ErrNotSent, ctx.Err())
	}
	return none, ctx.Err()
}

// Put hands one item over and does not wait: what becomes of it is between the
// flush and whoever put it in. It is never refused.
func (g *Group[In, Out]) Put(in In) { g.add(&item[In, Out]{in: in, size: g.cfg.Size(in)}, 0) }

// Pending is how many items wait for a flush.
func (g *Group[In, Out]) Pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending)
}

func (g *Group[In, Out]) add(it *item[In, Out], waiting int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if waiting > 0 && len(g.pending) > 0 && g.bytes+it.size > waiting {
		return false
	}
	g.pending = append(g.pending, it)
	g.bytes += it.size
	g.startFlushes()
	return true
}

// startFlushes begins the flushes that may begin now: the first one, one that is full,
// or one beside flushes that are slow.
func (g *Group[In, Out]) startFlushes() {
	for len(g.pending) > 0 && len(g.lanes) < g.cfg.MaxLanes {
		quick := 0
		for _, l := range g.lanes {
			if !l.slow {
				quick++
			}
		}
		full := len(g.pending) >= g.cfg.Items || g.cfg.Bytes > 0 && g.bytes >= g.cfg.Bytes
		if quick > 0 && (quick >= g.cfg.Lanes || !full) {
			break
		}
		l := &lane{since: time.Now()}
		g.lanes = append(g.lanes, l)
		go g.run(l, g.next())
	}
	if len(g.pending) == 0 {
		g.pending = nil
		return
	}
	g.watchForSlow()
}

// watchForSlow looks again when the oldest flush that is not slow has become so.
func (g *Group[In, Out]) watchForSlow() {
	if g.watched {
		return
	}
	for _, l := range g.lanes { // the oldest first
		if !l.slow {
			g.watched = true
			time.AfterFunc(slowAfter-time.Since(l.since), g.findSlow)
			return
		}
	}
}

func (g *Group[In, Out]) findSlow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watched = false
	for _, l := range g.lanes {
		l.slow = l.slow || time.Since(l.since) >= slowAfter
	}
	g.startFlushes()
}

func (g *Group[In, Out]) run(l *lane, items []*item[In, Out]) {
	ins := make([]In, len(items))
	for i, it := range items {
		ins[i] = it.in
	}
	g.flush(ins, func(outs []Out, err error) { settle(items, outs, err) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lanes = slices.DeleteFunc(g.lanes, func(other *lane) bool { return other == l })
	g.startFlushes()
}

// settle tells those who wait what became of their items.
func settle[In, Out any](items []*item[In, Out], outs []Out, err error) {
	for i, it := range items {
		switch {
		case it.done == nil:
			continue
		case err != nil:
			it.err = err
		default:
			it.out = outs[i]
		}
		close(it.done)
	}
}

// next takes the oldest pending items that fit into one flush.
func (g *Group[In, Out]) next() []*item[In, Out] {
	n, bytes := 0, 0
	for n < min(len(g.pending), g.cfg.Items) {
		bytes += g.pending[n].size
		if n > 0 && g.cfg.Bytes > 0 && bytes > g.cfg.Bytes {
			bytes -= g.pending[n].size
			break
		}
		n++
	}
	items := g.pending[:n:n]
	g.pending = g.pending[n:]
	g.bytes -= bytes
	return items
}

func (g *Group[In, Out]) withdraw(it *item[In, Out]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.pending {
		if other == it {
			g.pending = append(g.pending[:i:i], g.pending[i+1:]...)
			g.bytes -= it.size
			return true
		}
	}
	return false
}
