package worker

import (
	"context"
	"sync"
)

// slots bound the tasks in hand. Unlike a semaphore, they are taken as many at
// a time as are free.
type slots struct {
	mu    sync.Mutex
	free  int
	freed chan struct{} // holds a token while something may be free
}

func newSlots(n int) *slots {
	s := &slots{free: n, freed: make(chan struct{}, 1)}
	s.signal()
	return s
}

// take waits until at least one slot is free and takes at most limit. It
// returns 0 if ctx ended.
func (s *slots) take(ctx context.Context, limit int) int {
	for ctx.Err() == nil {
		s.mu.Lock()
		n := min(s.free, limit)
		s.free -= n
		left := s.free
		s.mu.Unlock()
		if n > 0 {
			if left > 0 {
				s.signal() // another shard's loop may be waiting
			}
			return n
		}
		select {
		case <-s.freed:
		case <-ctx.Done():
		}
	}
	return 0
}

// give returns n slots.
func (s *slots) give(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.free += n
	s.mu.Unlock()
	s.signal()
}

func (s *slots) available() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free
}

func (s *slots) signal() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
