package model

import "slices"

// Config bounds a model.
type Config struct {
	Tasks       int  // 1 or 2
	Workers     int  // 1 to 3
	Faults      int  // fewer than Workers, so that somebody is left to do the work
	MaxAttempts int  // 1 or 2
	Pause       bool // the type may be paused, once
	// Changes: a task may be moved, be too late to start, and be cancelled, each once.
	Changes bool
	Bug     Bug
}

// none stands for a worker or a task that a move does not concern.
const none = -1

// move is the function of the code, or the accident, and whom it concerns.
type move struct {
	name         string
	worker, task int
	// fair moves happen sooner or later without anybody's doing.
	fair bool
}

// step is a move, the state that it leads to, and the promise it breaks, if any.
type step struct {
	state
	move
	cfg    *Config
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
	neverLate    = "nothing starts after its not_after"
	neverAgain   = "nothing starts after a cancel"
	fenced       = "an end is recorded by its own attempt"
)

// moves lists all that can happen in from.
type moves struct {
	cfg  Config
	from state
	out  []step
	// impossible is the accident for which no fault is left.
	impossible step
}

func (m *moves) all(s state) []step {
	m.from, m.out = s, m.out[:0]
	for t := range m.from.tasks {
		m.create(t)
		m.remove(t)
		m.move(t)
		m.expire(t)
		m.cancel(t)
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

func (m *moves) add(what move) *step {
	m.out = append(m.out, step{state: m.from, move: what, cfg: &m.cfg})
	return &m.out[len(m.out)-1]
}

// fair adds a step that happens by itself. It still stands where it begins: the
// caller makes the change, before it adds another one.
func (m *moves) fair(name string, worker, task int) *step {
	return m.add(move{name, worker, task, true})
}

// choice adds a step that a user may take, and need not.
func (m *moves) choice(name string, worker, task int) *step {
	return m.add(move{name, worker, task, false})
}

// accident adds a step that spends one of the faults. If there is none left,
// what it returns leads nowhere.
func (m *moves) accident(name string, worker, task int) *step {
	if m.from.faults == 0 {
		m.impossible = step{state: m.from, cfg: &m.cfg}
		return &m.impossible
	}
	s := m.choice(name, worker, task)
	s.faults--
	return s
}

// remove is T5.
func (m *moves) remove(t int) {
	r := m.from.tasks[t]
	switch {
	case r.status == submitted && m.cfg.Bug != DeleteChecksThenActs:
		m.choice("Delete", none, t).remove(t)
	case r.checked:
		m.choice("Delete acts", none, t).remove(t)
	case r.status == submitted:
		m.choice("Delete looks", none, t).tasks[t].checked = true
	}
}

// pause is what a user does to the type of the tasks. Whoever pauses it resumes it at
// some time.
func (m *moves) pause() {
	if m.from.pausing {
		s := m.choice("Pause", none, none)
		s.paused, s.pausing = true, false
	}
	if m.from.paused {
		m.fair("Resume", none, none).paused = false
	}
}

// remove ends a task as deleted and promises that it never runs.
func (s *step) remove(t int) {
	r := &s.tasks[t]
	if r.status.terminal() {
		s.broken = final
	}
	// A task that may be attempted again has perhaps run before, and the
	// promise concerns what comes; else it has not.
	if s.cfg.MaxAttempts == 1 && r.ran != 0 {
		s.broken = neverDeleted
	}
	r.status, r.owner, r.checked, r.promised = deleted, nobody, false, true
}

// ring is what happens to one id in Redis, and the clocks: T6 and revive.
func (m *moves) ring(t int) {
	r := m.from.tasks[t]
	if r.status == absent {
		return
	}
	if r.clock < dueByBoth {
		m.fair("Clock", none, t).tasks[t].clock++
	}
	if r.indexing {
		indexed := &m.fair("Index", none, t).tasks[t]
		indexed.indexing, indexed.due = false, true
		m.fair("Index fails", none, t).tasks[t].indexing = false
	}
	if r.status == submitted && !r.due && !r.claimed && m.cfg.Bug != RepairMissing {
		m.fair("Repair", none, t).tasks[t].due = true
	}
	if r.early {
		m.fair("Index of a move", none, t).tasks[t].early = false
	}
	if r.due && r.status != submitted {
		m.fair("DropStale", none, t).tasks[t].due = false
	}
	if r.claimed && m.cfg.Bug != ReviveMissing {
		add, name := m.fair, "Revive"
		if m.from.holder(t) {
			add, name = m.accident, "Revive, though the claimer is only slow"
		}
		revived := &add(name, none, t).tasks[t]
		revived.claimed, revived.due = false, true
	}
}

// holder reports whether some worker has claimed t and not started it yet.
func (s *state) holder(t int) bool {
	return slices.ContainsFunc(s.workers[:], func(w session) bool { return w.hands[t].phase == held })
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
	name := "Redis is wiped"
	for dump := range 9 {
		restored, possible := m.from, true
		for t, set := range [maxTasks]int{dump % 3, dump / 3} {
			r := &restored.tasks[t]
			r.due, r.claimed = set == 1, set == 2
			possible = possible && (set == 0 || r.status != absent)
		}
		if possible && restored != m.from {
			m.accident(name, none, none).tasks = restored.tasks
		}
		name = "Redis is restored from an old dump"
	}
}
