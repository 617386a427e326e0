package model

// starting is T2, from the call to its confirmation. The worker waits for one
// copy of the statement. When it has waited too long it issues another one; the
// earlier copy may then be parked anywhere, and commit whenever it likes.
func (m *moves) starting(w int) {
	worker := m.from.workers[w]
	if worker.holding() != 0 {
		m.add(move{"Start", w, -1, true}, func(s *state) string { return s.confirm(w, m.cfg) })
		m.accident(move{"Start commits, its reply is lost, and it is issued again", w, -1, false}, func(s *state) string {
			late := &s.workers[w]
			late.again = true
			_, broken := s.start(w, late.holding(), &late.receipt, m.cfg)
			return broken
		})
		// The packed state has room for one start with parked copies besides
		// the one in hand.
		if !worker.oldParked && worker.parked < 3 {
			m.accident(move{"Start is parked, and issued again", w, -1, false}, func(s *state) string {
				s.workers[w].again = true
				s.workers[w].parked++
				return ""
			})
		}
	}
	if worker.parked > 0 {
		m.add(move{"parked Start commits", w, -1, true}, func(s *state) string {
			late := &s.workers[w]
			late.parked--
			_, broken := s.start(w, late.holding(), &late.receipt, m.cfg)
			return broken
		})
	}
	if worker.oldParked {
		m.add(move{"parked Start of an earlier call commits", w, -1, true}, func(s *state) string {
			late := &s.workers[w]
			_, broken := s.start(w, late.oldTasks, &late.oldReceipt, m.cfg)
			late.oldParked, late.oldTasks, late.oldUnfinished, late.oldReceipt = false, 0, 0, false
			return broken
		})
	}
}

// start is the one statement of T2. It returns the tasks that it started. Any
// session that is not dead leaves a receipt, also a lapsed one: it may become
// live again, and an earlier copy must not commit then what was refused now.
func (s *state) start(w int, mask uint8, receipt *bool, cfg Config) (begun uint8, broken string) {
	lease := s.workers[w].lease
	if cfg.Bug == StartIgnoresSession {
		lease = live
	}
	if lease == dead || lease == lapsed && cfg.Bug == LapsedWithoutReceipt {
		return 0, ""
	}
	if cfg.Bug != StartReissuedWithoutReceipt {
		if *receipt {
			return 0, ""
		}
		*receipt = true
	}
	if lease == lapsed || s.paused && cfg.Bug != StartIgnoresPause {
		return 0, ""
	}
	for t := range s.tasks {
		r := &s.tasks[t]
		if mask>>t&1 == 0 ||
			r.status != submitted && cfg.Bug != StartIgnoresStatus ||
			r.clock < dueByBoth && cfg.Bug != StartIgnoresDue {
			continue
		}
		switch {
		case r.status.terminal():
			broken = final
		case int(r.attempt) >= cfg.MaxAttempts:
			broken = neverTwice
		case s.paused:
			broken = neverPaused
		}
		r.status, r.owner = started, uint8(w) //nolint:gosec // an index
		if r.attempt == 0 || cfg.Bug != StartKeepsAttempt {
			r.attempt = min(r.attempt+1, maxAttempt)
		}
		begun |= 1 << t
	}
	return begun, broken
}

// confirm is the copy whose reply reaches the worker. If an earlier copy left
// the receipt, the reply is what the receipt names. What was granted may run,
// and what was refused is put back if it still has to run.
func (s *state) confirm(w int, cfg Config) string {
	worker := &s.workers[w]
	mask := worker.holding()
	known := worker.receipt && (worker.lease == live || cfg.Bug != LapsedWithoutReceipt)
	granted, broken := s.start(w, mask, &worker.receipt, cfg)
	for t, r := range s.tasks {
		if known && r.status == started && int(r.owner) == w {
			granted |= mask & (1 << t)
		}
	}
	worker.endStart(granted)
	if granted == 0 && cfg.Bug == ReceiptClosedTooSoon {
		worker.oldReceipt = false
	}
	for t := range s.tasks {
		r := &s.tasks[t]
		switch {
		case granted>>t&1 == 1:
			r.claimed = false
			worker.hands[t] = hand{confirmed, r.attempt}
		case mask>>t&1 == 1:
			r.claimed = false
			if r.status == submitted && cfg.Bug != ReleaseForgets {
				r.due = true
			}
			worker.hands[t] = hand{}
		}
	}
	return broken
}
