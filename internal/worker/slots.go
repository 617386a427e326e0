package worker

import (
	"context"
	"sync"
)

// slots bound the tasks in hand. Unlike a semaphore, they are taken as many at
// a time as are free.
type slots struct {
	all int

	mu       sync.Mutex
	free     int
	reserved int           // taken for a claim that is under way
	freed    chan struct{} // holds a token while something may be free
}

func newSlots(n int) *slots {
	s := &slots{all: n, free: n, freed: make(chan struct{}, 1)}
	s.signal()
	return s
}

// reserve waits until at least one slot is free and reserves at most limit. It
// returns 0 if ctx ended. What it returns is to be settled.
func (s *slots) reserve(ctx context.Context, limit int) int {
	for ctx.Err() == nil {
		s.mu.Lock()
		n := min(s.free, limit)
		s.free -= n
		s.reserved += n
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

// settle ends a reservation of n slots: used of them have a task now, which gives
// them back later; the others are free again.
func (s *slots) settle(n, used int) {
	s.mu.Lock()
	s.reserved -= n
	s.mu.Unlock()
	s.release(n - used)
}

// release returns n slots that had a task.
func (s *slots) release(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.free += n
	s.mu.Unlock()
	s.signal()
}

// used is how many slots have a task.
func (s *slots) used() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all - s.free - s.reserved
}

func (s *slots) signal() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
