package model

// starting is T2, from the call to its confirmation. The worker waits for one
// copy of the statement. When it has waited too long it issues another one; the
// earlier copy may then be parked anywhere, and commit whenever it likes.
func (m *moves) starting(w int) {
	worker := m.from.workers[w]
	if worker.holding() != 0 {
		m.fair("Start", w, none).confirm(w)
		s := m.accident("Start commits, its reply is lost, and it is issued again", w, none)
		s.workers[w].again = true
		s.start(w, worker.holding(), &s.workers[w].receipt)
		// The packed state has room for one start with parked copies besides
		// the one in hand.
		if !worker.oldParked && worker.parked < 3 {
			late := &m.accident("Start is parked, and issued again", w, none).workers[w]
			late.again = true
			late.parked++
		}
	}
	if worker.parked > 0 {
		s := m.fair("parked Start commits", w, none)
		s.workers[w].parked--
		s.start(w, worker.holding(), &s.workers[w].receipt)
	}
	if worker.oldParked {
		s := m.fair("parked Start of an earlier call commits", w, none)
		late := &s.workers[w]
		s.start(w, late.oldTasks, &late.oldReceipt)
		late.oldParked, late.oldTasks, late.oldUnfinished, late.oldReceipt = false, 0, 0, false
	}
}

// start is the one statement of T2. It returns the tasks that it started. Any
// session that is not dead leaves a receipt, also a lapsed one: it may become
// live again, and an earlier copy must not commit then what was refused now.
func (s *step) start(w int, mask uint8, receipt *bool) (begun uint8) {
	bug := s.cfg.Bug
	lease := s.workers[w].lease
	if bug == StartIgnoresSession {
		lease = live
	}
	if lease == dead || lease == lapsed && bug == LapsedWithoutReceipt {
		return 0
	}
	if bug != StartReissuedWithoutReceipt {
		if *receipt {
			return 0
		}
		*receipt = true
	}
	if lease == lapsed || s.paused && bug != StartIgnoresPause {
		return 0
	}
	for t := range s.tasks {
		r := &s.tasks[t]
		if mask>>t&1 == 0 ||
			r.status != submitted && bug != StartIgnoresStatus ||
			r.clock < dueByBoth && bug != StartIgnoresDue ||
			r.clock == tooLate && bug != StartIgnoresExpiry {
			continue
		}
		switch {
		case r.status.terminal():
			s.broken = final
		case int(r.attempt) >= s.cfg.MaxAttempts:
			s.broken = neverTwice
		case s.paused:
			s.broken = neverPaused
		case r.clock == tooLate:
			s.broken = neverLate
		case r.wish:
			s.broken = neverAgain
		}
		r.status, r.owner = started, uint8(w) //nolint:gosec // an index
		if r.attempt == 0 || bug != StartKeepsAttempt {
			r.attempt = min(r.attempt+1, maxAttempt)
		}
		begun |= 1 << t
	}
	return begun
}

// confirm is the copy whose reply reaches the worker. If an earlier copy left
// the receipt, the reply is what the receipt names. What was granted may run,
// and what was refused is put back if it still has to run.
func (s *step) confirm(w int) {
	worker := &s.workers[w]
	mask := worker.holding()
	known := worker.receipt && (worker.lease == live || s.cfg.Bug != LapsedWithoutReceipt)
	granted := s.start(w, mask, &worker.receipt)
	for t := range s.tasks {
		if known && s.tasks[t].startedBy(w) {
			granted |= mask & (1 << t)
		}
	}
	worker.endStart(granted)
	if granted == 0 && s.cfg.Bug == ReceiptClosedTooSoon {
		worker.oldReceipt = false
	}
	for t := range s.tasks {
		if mask>>t&1 == 0 {
			continue
		}
		r := &s.tasks[t]
		r.claimed = false
		worker.hands[t] = hand{}
		if granted>>t&1 == 1 {
			worker.hands[t] = hand{confirmed, r.attempt}
		} else if r.status == submitted && s.cfg.Bug != ReleaseForgets {
			r.due, r.early = true, false
		}
	}
}
