package model

// Config bounds a model.
type Config struct {
	Tasks       int  // 1 or 2
	Workers     int  // 1 to 3
	Faults      int  // fewer than Workers, so that somebody is left to do the work
	MaxAttempts int  // 1 or 2
	Pause       bool // the type may be paused, once
	Bug         Bug
}

// move is one step: the function of the code, or the accident, and whom it
// concerns; -1 is nobody.
type move struct {
	name         string
	worker, task int
	// fair steps happen sooner or later without anybody's doing.
	fair bool
}

// step is where a move leads, and the promise it breaks, if any.
type step struct {
	move   move
	to     state
	broken string
}

// The promises.
const (
	neverEarly   = "never early"
	neverTwice   = "never twice"
	neverDeleted = "a deleted task never runs"
	neverLost    = "nothing is lost"
	neverPaused  = "nothing starts after a pause"
	final        = "terminal is final"
	fenced       = "an end is recorded by its own attempt"
)

// moves lists all that can happen in s.
type moves struct {
	cfg  Config
	from state
	out  []step
}

func (m *moves) all(s state) []step {
	m.from, m.out = s, m.out[:0]
	for t := range m.from.tasks {
		m.user(t)
		m.ring(t)
	}
	for w := range m.from.workers {
		m.lease(w)
		m.starting(w)
		for t := range m.from.tasks {
			m.claim(w, t)
			m.run(w, t)
			m.finish(w, t)
		}
	}
	m.redisLost()
	m.pause()
	return m.out
}

// add takes a step. change alters a copy of the state and returns the promise
// that this breaks.
func (m *moves) add(what move, change func(*state) string) {
	m.out = append(m.out, step{move: what, to: m.from})
	last := &m.out[len(m.out)-1]
	last.broken = change(&last.to)
}

// accident is a step that spends one of the faults.
func (m *moves) accident(what move, change func(*state) string) {
	if m.from.faults == 0 {
		return
	}
	m.add(what, func(s *state) string {
		s.faults--
		return change(s)
	})
}

// user is what the API does for its users: T0 and T5.
func (m *moves) user(t int) {
	r := m.from.tasks[t]
	if r.status == absent && m.from.created() < m.cfg.Tasks {
		m.add(move{"Create", -1, t, false}, func(s *state) string {
			s.tasks[t].status, s.tasks[t].indexing = submitted, true
			return ""
		})
	}
	if m.cfg.Bug == DeleteChecksThenActs {
		if r.status == submitted && !r.checked {
			m.add(move{"Delete looks", -1, t, false}, func(s *state) string {
				s.tasks[t].checked = true
				return ""
			})
		}
		if r.checked {
			m.add(move{"Delete acts", -1, t, false}, func(s *state) string { return s.remove(t, m.cfg) })
		}
	} else if r.status == submitted {
		m.add(move{"Delete", -1, t, false}, func(s *state) string { return s.remove(t, m.cfg) })
	}
}

// pause is what a user does to the type of the tasks. Whoever pauses it resumes it at
// some time.
func (m *moves) pause() {
	if m.from.pausing {
		m.add(move{"Pause", -1, -1, false}, func(s *state) string {
			s.paused, s.pausing = true, false
			return ""
		})
	}
	if m.from.paused {
		m.add(move{"Resume", -1, -1, true}, func(s *state) string {
			s.paused = false
			return ""
		})
	}
}

// remove ends a task as deleted and promises that it never runs.
func (s *state) remove(t int, cfg Config) string {
	r := &s.tasks[t]
	broken := ""
	if r.status.terminal() {
		broken = final
	}
	// A task that may be attempted again has perhaps run before, and the
	// promise concerns what comes; else it has not.
	if cfg.MaxAttempts == 1 && r.ran != 0 {
		broken = neverDeleted
	}
	r.status, r.owner, r.checked, r.promised = deleted, nobody, false, true
	return broken
}

// ring is what happens to one id in Redis, and the clocks: T6 and revive.
func (m *moves) ring(t int) {
	r := m.from.tasks[t]
	if r.status == absent {
		return
	}
	if r.clock < dueByBoth {
		m.add(move{"Clock", -1, t, true}, func(s *state) string {
			s.tasks[t].clock++
			return ""
		})
	}
	if r.indexing {
		m.add(move{"Index", -1, t, true}, func(s *state) string {
			s.tasks[t].indexing, s.tasks[t].due = false, true
			return ""
		})
		m.add(move{"Index fails", -1, t, true}, func(s *state) string {
			s.tasks[t].indexing = false
			return ""
		})
	}
	if r.status == submitted && !r.due && !r.claimed && m.cfg.Bug != RepairMissing {
		m.add(move{"Repair", -1, t, true}, func(s *state) string {
			s.tasks[t].due = true
			return ""
		})
	}
	if r.due && r.status != submitted {
		m.add(move{"DropStale", -1, t, true}, func(s *state) string {
			s.tasks[t].due = false
			return ""
		})
	}
	if r.claimed && m.cfg.Bug != ReviveMissing {
		revive := func(s *state) string {
			s.tasks[t].claimed, s.tasks[t].due = false, true
			return ""
		}
		if m.from.holder(t) {
			m.accident(move{"Revive, though the claimer is only slow", -1, t, false}, revive)
		} else {
			m.add(move{"Revive", -1, t, true}, revive)
		}
	}
}

// holder reports whether some worker has claimed t and not started it yet.
func (s *state) holder(t int) bool {
	for w := range s.workers {
		if s.workers[w].hands[t].phase == held {
			return true
		}
	}
	return false
}

func (s *state) created() (n int) {
	for _, r := range s.tasks {
		if r.status != absent {
			n++
		}
	}
	return n
}

// redisLost empties Redis, or brings an old dump back: any of the ids that were
// ever committed, in any of the two sets.
func (m *moves) redisLost() {
	empty := m.from
	for t := range empty.tasks {
		empty.tasks[t].due, empty.tasks[t].claimed = false, false
	}
	if empty != m.from {
		m.accident(move{"Redis is wiped", -1, -1, false}, func(s *state) string {
			s.tasks = empty.tasks
			return ""
		})
	}
	for dump := 1; dump < 9; dump++ {
		restored := empty
		for t, set := range [maxTasks]int{dump % 3, dump / 3} {
			restored.tasks[t].due, restored.tasks[t].claimed = set == 1, set == 2
			if set != 0 && restored.tasks[t].status == absent {
				restored = m.from
				break
			}
		}
		if restored != m.from {
			m.accident(move{"Redis is restored from an old dump", -1, -1, false}, func(s *state) string {
				s.tasks = restored.tasks
				return ""
			})
		}
	}
}
