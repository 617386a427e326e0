package scheduler

import (
	"sync/atomic"
	"time"
)

// holiday remembers that Redis failed a moment ago, so that a burst of creates
// does not wait for it one after the other.
type holiday struct {
	until atomic.Pointer[time.Time]
}

func (h *holiday) begin(d time.Duration) {
	until := time.Now().Add(d)
	h.until.Store(&until)
}

func (h *holiday) active() bool {
	until := h.until.Load()
	return until != nil && time.Now().Before(*until)
}
