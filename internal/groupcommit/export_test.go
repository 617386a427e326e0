package groupcommit

// SlowAfter is how long a flush may take before others no longer wait for it.
const SlowAfter = slowAfter

// Idle lets tests wait for a condition instead of a time.
func (g *Group[In, Out]) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.lanes) == 0 && len(g.pending) == 0
}
