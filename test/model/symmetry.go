package model

import "slices"

// canonical is one for a state and all those that differ from it only in which
// task and which worker is which. Exploring one of them explores them all.
func (s *state) canonical() (state, packed) {
	turned := s.swapTasks()
	a, b := s.sortWorkers(), turned.sortWorkers()
	keyA, keyB := a.pack(), b.pack()
	if slices.Compare(keyA[:], keyB[:]) <= 0 {
		return a, keyA
	}
	return b, keyB
}

// sortWorkers orders the workers by all that is known of each: what it is
// itself, and which tasks name it. Those that tie are alike.
func (s *state) sortWorkers() state {
	var order [maxWorkers]uint64
	for w := range order {
		order[w] = s.workers[w].pack() << 8
		for t := range s.tasks {
			if s.tasks[t].owner == uint8(w) {
				order[w] |= 1 << (4 + t)
			}
		}
		order[w] |= uint64(w)
	}
	slices.Sort(order[:])
	sorted := *s
	for to, key := range order {
		from := uint8(key & 15)
		sorted.workers[to] = s.workers[from]
		for t := range s.tasks {
			if s.tasks[t].owner == from {
				sorted.tasks[t].owner = uint8(to)
			}
		}
	}
	return sorted
}

func (s *state) swapTasks() state {
	swapped := *s
	swapped.tasks[0], swapped.tasks[1] = s.tasks[1], s.tasks[0]
	for w := range swapped.workers {
		worker := &swapped.workers[w]
		worker.hands[0], worker.hands[1] = worker.hands[1], worker.hands[0]
		worker.oldTasks = swapBits(worker.oldTasks)
		worker.oldUnfinished = swapBits(worker.oldUnfinished)
	}
	return swapped
}

func swapBits(mask uint8) uint8 { return mask>>1&1 | mask&1<<1 }
