package model

// move is T7: the task is due later than it was. Its entry in Redis is for the old time, until
// the index is told of the move or a repair compares the times. What another API sends late
// may bring the old time back.
func (m *moves) move(t int) {
	r := m.from.tasks[t]
	switch {
	case r.looked:
		m.choice("Move acts", none, t).reschedule(t)
	case !m.from.moving || r.status != submitted:
	case m.cfg.Bug == MoveChecksThenActs:
		s := m.choice("Move looks", none, t)
		s.moving, s.tasks[t].looked = false, true
	default:
		m.choice("Move", none, t).reschedule(t)
	}
	if m.cfg.Changes && !m.from.moving && r.status == submitted && !r.early && r.clock == notDue {
		late := &m.accident("an older index call arrives", none, t).tasks[t]
		late.due, late.early = true, true
	}
}

func (s *step) reschedule(t int) {
	r := &s.tasks[t]
	if r.looked = false; r.status.terminal() {
		return
	}
	if s.cfg.MaxAttempts == 1 && r.ran != 0 {
		s.broken = neverEarly // it has run at the time that it had
	}
	s.moving = false
	r.clock, r.early = notDue, r.due
}

// expire is the passing of not_after, and T9.
func (m *moves) expire(t int) {
	r := m.from.tasks[t]
	if m.from.expiring && r.clock == dueByBoth {
		s := m.choice("Time passes not_after", none, t)
		s.expiring, s.tasks[t].clock = false, tooLate
	}
	if r.clock != tooLate || m.cfg.Bug == ExpireMissing {
		return
	}
	if r.status == submitted || r.status == started && m.cfg.Bug == ExpireIgnoresStatus {
		s := m.fair("Expire", none, t)
		if r.status != submitted {
			s.broken = fenced
		}
		s.tasks[t].status, s.tasks[t].owner = failed, nobody
	}
}

// cancel is T8, of a task that runs. One that has not started is deleted.
func (m *moves) cancel(t int) {
	r := m.from.tasks[t]
	if m.from.cancelling && (r.status == started || r.status == submitted && m.cfg.Bug == CancelIgnoresStatus) {
		s := m.choice("Cancel", none, t)
		s.cancelling, s.tasks[t].wish = false, true
	}
}

// again is what becomes of a task whose attempt has failed.
func (s *step) again(r *row, ignoreWish Bug) status {
	if r.wish && s.cfg.Bug != ignoreWish {
		return failed
	}
	return submitted
}
