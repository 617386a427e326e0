package batch

// Pending and Idle let tests wait for a condition instead of a time.
func (g *Group[In, Out]) Pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending)
}

func (g *Group[In, Out]) Idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy == 0 && len(g.pending) == 0
}
