package worker

import (
	"maps"
	"sync"
)

// hold is how many slots a type may hold for each one that it leaves free. It bounds a
// type that takes all it can to nine tenths of the shared slots, and the next one to nine
// tenths of what is left, so that one that comes later finds some free (Choudhury and
// Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
const hold = 9

// slots bound the tasks in hand. Some types have slots of their own; the others share
// what is left. A type that has nothing in hand gets a slot in any case: what other types
// do never keeps it from making progress.
type slots struct {
	mu     sync.Mutex
	own    map[string]int // slots of their own, by type
	used   map[string]int // tasks in hand, by type
	shared int
	free   int // of the shared ones; negative if types with nothing in hand went beyond
	// freed holds a token after slots were given back.
	freed chan struct{}
}

func newSlots(all int, own map[string]int) *slots {
	shared := all
	for _, n := range own {
		shared -= n
	}
	shared = max(shared, 0)
	return &slots{own: own, used: map[string]int{}, shared: shared, free: shared, freed: make(chan struct{}, 1)}
}

// take takes at most limit slots for a type, and returns how many. Unlike a semaphore it
// takes as many as there are. Each is given back.
func (s *slots) take(taskType string, limit int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.used[taskType]
	own, apart := s.own[taskType]
	var n int
	if apart {
		n = own - used
	} else {
		n = (hold*s.free - used + hold) / (hold + 1) // rounded up
	}
	if used == 0 {
		n = max(n, 1)
	}
	n = min(n, limit)
	if n <= 0 {
		return 0
	}
	s.used[taskType] = used + n
	if !apart {
		s.free -= n
	}
	return n
}

// give gives back n slots of a type.
func (s *slots) give(taskType string, n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	if s.used[taskType] -= n; s.used[taskType] == 0 {
		delete(s.used, taskType)
	}
	if _, apart := s.own[taskType]; !apart {
		s.free += n
	}
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// inUse is how many tasks are in hand.
func (s *slots) inUse() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for used := range maps.Values(s.used) {
		n += used
	}
	return n
}
