package worker

import (
	"sync"

	"github.com/timewheel/timewheel/internal/task"
)

// receipts are those of committed starts that are no longer needed, since the
// ends of all their tasks are committed, and not before: a receipt is how a
// reaper finds the tasks.
type receipts struct {
	mu     sync.Mutex
	closed task.Closed
}

// close notes a receipt that is no longer needed, and whether its start was retried.
func (r *receipts) close(seq int64, retried bool) {
	if retried {
		r.putBack(task.Closed{Retried: []int64{seq}})
	} else {
		r.putBack(task.Closed{Once: []int64{seq}})
	}
}

// takeClosed returns the receipts that are no longer needed.
func (r *receipts) takeClosed() task.Closed {
	r.mu.Lock()
	defer r.mu.Unlock()
	closed := r.closed
	r.closed = task.Closed{}
	return closed
}

// putBack returns receipts that were taken and not closed.
func (r *receipts) putBack(closed task.Closed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed.Once = append(r.closed.Once, closed.Once...)
	r.closed.Retried = append(r.closed.Retried, closed.Retried...)
}
