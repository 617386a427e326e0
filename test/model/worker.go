package model

// lease is the life of a session: renewal, accidents, and T4.
func (m *moves) lease(w int) {
	worker := m.from.workers[w]
	switch worker.lease {
	case live:
		if worker.gone {
			m.add(move{"Lease passes", w, -1, true}, func(s *state) string {
				s.workers[w].lease = lapsed
				return ""
			})
			break
		}
		m.accident(move{"Pause past the lease", w, -1, false}, func(s *state) string {
			s.workers[w].lease = lapsed
			return ""
		})
	case lapsed:
		if !worker.gone {
			m.add(move{"Renew", w, -1, true}, func(s *state) string {
				s.workers[w].lease = live
				return ""
			})
		}
		m.add(move{"Reap", w, -1, true}, func(s *state) string { return s.reap(w, m.cfg) })
	case dead:
		if !worker.gone {
			m.add(move{"Renew finds the session dead", w, -1, true}, func(s *state) string {
				s.workers[w].quit()
				return ""
			})
		} else if !worker.oldParked && !m.from.owns(w) && m.from.present() < m.cfg.Workers {
			// The slot of a session that nothing refers to any more becomes a
			// new session.
			m.add(move{"Register", w, -1, true}, func(s *state) string {
				s.workers[w] = session{}
				return ""
			})
		}
	}
	if worker.gone {
		return
	}
	m.accident(move{"Crash", w, -1, false}, func(s *state) string {
		s.workers[w].quit()
		return ""
	})
	if worker.holding() != 0 && worker.parked < 3 {
		m.accident(move{"Crash with a Start under way", w, -1, false}, func(s *state) string {
			s.workers[w].parked++
			s.workers[w].quit()
			return ""
		})
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
	for _, r := range s.tasks {
		if r.status == started && int(r.owner) == w {
			return true
		}
	}
	return false
}

// reap ends a session and settles what it had started.
func (s *state) reap(w int, cfg Config) string {
	worker := &s.workers[w]
	if cfg.Bug != ReapForgetsDead {
		worker.lease = dead
	}
	if cfg.Bug == ReapForgetsTasks {
		return ""
	}
	worker.receipt, worker.oldReceipt = false, false
	for t := range s.tasks {
		r := &s.tasks[t]
		if r.status != started || int(r.owner) != w {
			continue
		}
		r.status, r.owner = failed, nobody
		if int(r.attempt) < cfg.MaxAttempts || cfg.Bug == ReapIgnoresMaxAttempts {
			r.status = submitted
		}
	}
	return ""
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
	if worker.gone || worker.lease != live || worker.again || !r.due || r.clock == notDue {
		return
	}
	pop := func(s *state) {
		s.tasks[t].due = false
		s.tasks[t].claimed = m.cfg.Bug != ClaimOnlyPops
	}
	m.add(move{"Claim", w, t, true}, func(s *state) string {
		pop(s)
		if h := &s.workers[w].hands[t]; h.phase == free {
			h.phase = held
		}
		return ""
	})
	m.accident(move{"Claim, and its reply is lost", w, t, false}, func(s *state) string {
		pop(s)
		return ""
	})
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
	m.add(move{"Run", w, t, true}, func(s *state) string {
		s.workers[w].hands[t] = hand{ended, h.attempt}
		r := &s.tasks[t]
		before := r.ran
		r.ran |= 1 << (h.attempt - 1)
		switch {
		case r.clock < dueByBoth:
			return neverEarly
		case before == r.ran, int(h.attempt) > m.cfg.MaxAttempts:
			return neverTwice
		case r.promised:
			return neverDeleted
		}
		return ""
	})
}

// finish is T3. Copies of it that commit late need no steps of their own: the
// guard lets one of them write, whichever comes first.
func (m *moves) finish(w, t int) {
	h := m.from.workers[w].hands[t]
	if h.phase != ended {
		return
	}
	m.add(move{"Finish", w, t, true}, func(s *state) string { return s.finish(w, t, done, m.cfg) })
	if int(h.attempt) < m.cfg.MaxAttempts {
		m.add(move{"Finish with a failure", w, t, true}, func(s *state) string { return s.finish(w, t, submitted, m.cfg) })
	}
}

func (s *state) finish(w, t int, to status, cfg Config) string {
	worker, r := &s.workers[w], &s.tasks[t]
	sameAttempt := r.attempt == worker.hands[t].attempt
	mine := r.status == started && int(r.owner) == w && sameAttempt
	guard := mine
	if cfg.Bug == FinishIgnoresAttempt {
		guard = r.status == started
	}
	if cfg.Bug == FinishIgnoresStatus {
		// The owner of an ended attempt is not kept.
		guard = sameAttempt && (int(r.owner) == w || r.owner == nobody)
	}
	worker.hands[t] = hand{}
	if worker.oldUnfinished &^= 1 << t; worker.oldUnfinished == 0 && cfg.Bug == ReceiptClosedTooSoon {
		worker.oldReceipt = false
	}
	if !guard {
		return ""
	}
	was := r.status
	r.status, r.owner = to, nobody
	if to == submitted {
		r.due = true
	}
	switch {
	case was.terminal():
		return final
	case !mine:
		return fenced
	}
	return ""
}
