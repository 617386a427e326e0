package worker

import "sync"

// receipts are those of committed starts that may be removed, since the ends
// of all their tasks are committed, and not before: a receipt is how a reaper
// finds the tasks. That of a start that was issued more than once is never
// among them and stays while the session lives.
type receipts struct {
	mu     sync.Mutex
	closed []int64
}

// close notes a receipt that may be removed.
func (r *receipts) close(seq int64) { r.putBack([]int64{seq}) }

// takeClosed returns the receipts that may be removed.
func (r *receipts) takeClosed() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed := r.closed
	r.closed = nil
	return closed
}

// putBack returns receipts that were taken and not removed.
func (r *receipts) putBack(closed []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = append(r.closed, closed...)
}
