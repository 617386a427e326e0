package model

// create is T0. An outcome that nobody heard of makes the API send it again, and the
// earlier copy may be parked anywhere: when it took its snapshot there was no such task.
func (m *moves) create(t int) {
	r := m.from.tasks[t]
	if r.status == absent && m.from.created() < m.cfg.Tasks {
		m.choice("Create", none, t).insert(t)
		s := m.accident("Create is parked, and sent again", none, t)
		s.insert(t)
		s.tasks[t].copied = true
	}
	if r.copied {
		m.fair("parked Create commits", none, t).insertAgain(t)
	}
}

func (s *step) insert(t int) {
	r := &s.tasks[t]
	r.status, r.indexing = submitted, true
}

// insertAgain is what becomes of the parked copy. While the task is open its row stands in
// the index of ids, and the copy fails. Once it has ended it has left that index, so the copy
// looks for it where it went, after its own row stands in the index and with a fresh
// snapshot: no end can come in between.
func (s *step) insertAgain(t int) {
	r := &s.tasks[t]
	r.copied = false
	if !r.status.terminal() || s.cfg.Bug != CreateSeesOldSnapshot {
		return
	}
	s.broken = final
	r.attempt, r.owner = 0, nobody
	s.insert(t)
}
