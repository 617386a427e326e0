// Package batch is group commit: many callers, one crossing of the network.
//
// While one flush is in flight the next one gathers, and nothing is held back
// to fill a batch: an item that finds no flush in flight is flushed at once. The
// batch size therefore follows the load by itself. A second flush goes beside
// the first only with a full batch.
package batch

import (
	"context"
	"errors"
	"sync"
)

// ErrNotSent is joined to the context's error when a caller gave up before
// its item was handed to a flush: nothing happened and nothing will.
var ErrNotSent = errors.New("not sent")

// Flush carries out a batch of at least one item. It calls answer once, with one
// result an item, in order, or with an error that stands for all of them. The
// lane is free when it returns; answer may be called later, when more has been
// done for the batch beside the next flush.
type Flush[In, Out any] func(items []In, answer func([]Out, error))

// Group gathers items and flushes them in at most a fixed number of lanes at
// a time. It owns no goroutine while it is idle and needs no closing.
type Group[In, Out any] struct {
	flush Flush[In, Out]
	size  int
	lanes int

	mu      sync.Mutex
	busy    int // lanes in use
	pending []*item[In, Out]
}

type item[In, Out any] struct {
	in   In
	out  Out
	err  error
	done chan struct{} // nil if nobody waits
}

// New makes a group that flushes at most size items at once, in at most so many
// concurrent lanes.
func New[In, Out any](size, lanes int, flush Flush[In, Out]) *Group[In, Out] {
	return &Group[In, Out]{flush: flush, size: size, lanes: lanes}
}

// Do hands one item over and waits for its result. If ctx ends first, its
// error is returned: with ErrNotSent if the item was taken back in time, and
// without it if a flush carries it and the outcome is not known.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	it := &item[In, Out]{in: in, done: make(chan struct{})}
	g.add(it)
	select {
	case <-it.done:
		return it.out, it.err
	case <-ctx.Done():
	}
	var none Out
	if g.takeBack(it) {
		return none, errors.Join(ErrNotSent, ctx.Err())
	}
	return none, ctx.Err()
}

// Put hands one item over and does not wait: what becomes of it is between the
// flush and whoever put it in.
func (g *Group[In, Out]) Put(in In) { g.add(&item[In, Out]{in: in}) }

func (g *Group[In, Out]) add(it *item[In, Out]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = append(g.pending, it)
	if g.busy < g.lanes && g.worth(g.busy) {
		g.busy++
		go g.run()
	}
}

// worth reports whether a lane beside so many others has something to flush:
// anything if it is alone, and else a full batch, since two halves cost more
// than a whole.
func (g *Group[In, Out]) worth(others int) bool {
	if others == 0 {
		return len(g.pending) > 0
	}
	return len(g.pending) >= g.size
}

// run is one lane: it flushes until nothing is pending.
func (g *Group[In, Out]) run() {
	for {
		items := g.next()
		if items == nil {
			return
		}
		ins := make([]In, len(items))
		for i, it := range items {
			ins[i] = it.in
		}
		g.flush(ins, func(outs []Out, err error) { settle(items, outs, err) })
	}
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

// next takes the oldest pending items, or gives the lane back.
func (g *Group[In, Out]) next() []*item[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pending) == 0 {
		g.pending = nil
	}
	if !g.worth(g.busy - 1) {
		g.busy--
		return nil
	}
	n := min(len(g.pending), g.size)
	items := g.pending[:n:n]
	g.pending = g.pending[n:]
	return items
}

func (g *Group[In, Out]) takeBack(it *item[In, Out]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.pending {
		if other == it {
			g.pending = append(g.pending[:i:i], g.pending[i+1:]...)
			return true
		}
	}
	return false
}
