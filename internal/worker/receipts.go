package worker

import "sync"

// receipts count how many tasks of each committed start have not ended yet. A
// receipt may be removed once the ends of all its tasks are committed, and not
// before: it is how a reaper finds them. That of a start that was issued more
// than once is not counted here and never removed while the session lives.
type receipts struct {
	mu     sync.Mutex
	open   map[int64]int
	closed []int64
}

// add notes the receipt of a start of n tasks.
func (r *receipts) add(seq int64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 {
		r.closed = append(r.closed, seq)
		return
	}
	if r.open == nil {
		r.open = make(map[int64]int)
	}
	r.open[seq] = n
}

// end notes that the end of one task of a receipt is committed.
func (r *receipts) end(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[seq] == 0 {
		return
	}
	r.open[seq]--
	if r.open[seq] == 0 {
		delete(r.open, seq)
		r.closed = append(r.closed, seq)
	}
}

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
