package model

import "slices"

// lease is the life of a session: renewal, accidents, and T4.
func (m *moves) lease(w int) {
	worker := m.from.workers[w]
	switch worker.lease {
	case live:
		if worker.gone {
			m.fair("Lease passes", w, none).workers[w].lease = lapsed
		} else {
			m.accident("Pause past the lease", w, none).workers[w].lease = lapsed
		}
	case lapsed:
		if !worker.gone {
			m.fair("Renew", w, none).workers[w].lease = live
		}
		m.fair("Reap", w, none).reap(w)
	case dead:
		if !worker.gone {
			m.fair("Renew finds the session dead", w, none).workers[w].quit()
		} else if !worker.oldParked && !m.from.owns(w) && m.from.present() < m.cfg.Workers {
			// The slot of a session that nothing refers to any more becomes a
			// new session.
			m.fair("Register", w, none).workers[w] = session{}
		}
	}
	if worker.gone {
		return
	}
	m.accident("Crash", w, none).workers[w].quit()
	if worker.holding() != 0 && worker.parked < 3 {
		late := &m.accident("Crash with a Start under way", w, none).workers[w]
		late.parked++
		late.quit()
	}
}

// present counts the workers that have a process or a session.
func (s *state) present() (n int) {
	for w := range s.workers {
		if worker := &s.workers[w]; worker.lease != dead || !worker.gone {
			n++
		}
	}
	return n
}

// owns reports whether a task stands as started by w.
func (s *state) owns(w int) bool {
	return slices.ContainsFunc(s.tasks[:], func(r row) bool { return r.startedBy(w) })
}

func (r row) startedBy(w int) bool { return r.status == started && int(r.owner) == w }

// reap ends a session and settles what it had started.
func (s *step) reap(w int) {
	worker := &s.workers[w]
	if s.cfg.Bug != ReapForgetsDead {
		worker.lease = dead
	}
	if s.cfg.Bug == ReapForgetsTasks {
		return
	}
	worker.receipt, worker.oldReceipt = false, false
	for t := range s.tasks {
		r := &s.tasks[t]
		if !r.startedBy(w) {
			continue
		}
		r.status, r.owner = failed, nobody
		if int(r.attempt) < s.cfg.MaxAttempts || s.cfg.Bug == ReapIgnoresMaxAttempts {
			r.status = s.again(r, ReapIgnoresCancel)
		}
	}
}

// quit forgets all that the process knew. What it sent may still commit. Of
// copies of several starts only those of the latest are kept.
func (w *session) quit() {
	w.endStart(0)
	w.gone, w.hands = true, [maxTasks]hand{}
}

// endStart leaves the start in hand behind, with the copies of it that may
// still commit.
func (w *session) endStart(granted uint8) {
	if w.parked > 0 {
		w.oldParked, w.oldTasks, w.oldUnfinished, w.oldReceipt = true, w.holding(), granted, w.receipt
	}
	w.again, w.parked, w.receipt = false, 0, false
}

// holding is the set of tasks that are claimed and not started, all of which
// are in the start in hand.
func (w *session) holding() (mask uint8) {
	for t, h := range w.hands {
		if h.phase == held {
			mask |= 1 << t
		}
	}
	return mask
}

// claim is T1.
func (m *moves) claim(w, t int) {
	worker, r := m.from.workers[w], m.from.tasks[t]
	if worker.gone || worker.lease != live || worker.again || !r.due || r.clock == notDue && !r.early {
		return
	}
	r.due, r.early, r.claimed = false, false, m.cfg.Bug != ClaimOnlyPops
	s := m.fair("Claim", w, t)
	s.tasks[t] = r
	if h := &s.workers[w].hands[t]; h.phase == free {
		h.phase = held
	}
	m.accident("Claim, and its reply is lost", w, t).tasks[t] = r
}

// run is the effect.
func (m *moves) run(w, t int) {
	worker := m.from.workers[w]
	h := worker.hands[t]
	may := h.phase == confirmed && (worker.lease == live || m.cfg.Bug == RunWithoutLease)
	if m.cfg.Bug == RunBeforeConfirm && h.phase == held {
		may, h.attempt = true, m.from.tasks[t].attempt+1
	}
	if !may {
		return
	}
	s := m.fair("Run", w, t)
	s.workers[w].hands[t] = hand{ended, h.attempt}
	r := &s.tasks[t]
	before := r.ran
	r.ran |= 1 << (h.attempt - 1)
	switch {
	case r.clock < dueByBoth:
		s.broken = neverEarly
	case before == r.ran, int(h.attempt) > m.cfg.MaxAttempts:
		s.broken = neverTwice
	case r.promised:
		s.broken = neverDeleted
	}
}

// finish is T3. Copies of it that commit late need no steps of their own: the
// guard lets one of them write, whichever comes first.
func (m *moves) finish(w, t int) {
	h := m.from.workers[w].hands[t]
	if h.phase != ended {
		return
	}
	m.fair("Finish", w, t).finish(w, t, done)
	if int(h.attempt) < m.cfg.MaxAttempts {
		s := m.fair("Finish with a failure", w, t)
		s.finish(w, t, s.again(&s.tasks[t], FinishIgnoresCancel))
	}
}

func (s *step) finish(w, t int, to status) {
	worker, r := &s.workers[w], &s.tasks[t]
	sameAttempt := r.attempt == worker.hands[t].attempt
	mine := r.startedBy(w) && sameAttempt
	guard := mine
	if s.cfg.Bug == FinishIgnoresAttempt {
		guard = r.status == started
	}
	if s.cfg.Bug == FinishIgnoresStatus {
		// The owner of an ended attempt is not kept.
		guard = sameAttempt && (int(r.owner) == w || r.owner == nobody)
	}
	worker.hands[t] = hand{}
	if worker.oldUnfinished &^= 1 << t; worker.oldUnfinished == 0 && s.cfg.Bug == ReceiptClosedTooSoon {
		worker.oldReceipt = false
	}
	if !guard {
		return
	}
	switch {
	case r.status.terminal():
		s.broken = final
	case !mine:
		s.broken = fenced
	}
	r.status, r.owner = to, nobody
	if to == submitted {
		r.due = true
	}
}
