package model

import (
	"fmt"
	"slices"
	"strings"
)

// Result is what an exploration found.
type Result struct {
	// States is how many were reached that differ by more than names.
	States int
	// Moves is how many steps lead from them.
	Moves int
	// Broken is the promise that does not hold, or empty. Trace then is a
	// shortest run of Steps moves that breaks it, one line each, and for a lost
	// task a last line that says where that leaves it.
	Broken string
	Steps  int
	Trace  []string
}

// explorer is a breadth-first search. States are numbered as they are found.
type explorer struct {
	Result
	moves  moves
	number map[packed]uint32
	states []state
	parent []uint32
	// The fair moves: those of state n are fair[ends[n-1]:ends[n]].
	fair []uint32
	ends []int
}

// Explore visits every state that cfg can reach, or stops at the first move
// that breaks a promise. When all were visited it looks for states from which
// some task can no longer come to its end, however lucky the run from there.
func Explore(cfg Config) Result {
	e := &explorer{moves: moves{cfg: cfg}, number: map[packed]uint32{}}
	e.search()
	if e.Broken == "" {
		e.lost()
	}
	e.States = len(e.states)
	return e.Result
}

func (cfg Config) initial() state {
	s := state{
		faults: uint8(cfg.Faults), pausing: cfg.Pause, //nolint:gosec // a handful
		moving: cfg.Changes, expiring: cfg.Changes, cancelling: cfg.Changes,
	}
	for t := range s.tasks {
		s.tasks[t].owner = nobody
	}
	for w := cfg.Workers; w < maxWorkers; w++ {
		s.workers[w].lease, s.workers[w].gone = dead, true
	}
	return s
}

func (e *explorer) search() {
	initial := e.moves.cfg.initial()
	e.reach(&initial, 0)
	for n := 0; n < len(e.states); n++ {
		for _, step := range e.moves.all(e.states[n]) {
			e.Moves++
			if step.broken != "" {
				e.breaks(step.broken, n)
				return
			}
			to := e.reach(&step.state, uint32(n))
			if step.fair {
				e.fair = append(e.fair, to)
			}
		}
		e.ends = append(e.ends, len(e.fair))
	}
}

// reach returns the number of a state, and gives it one if it is new.
func (e *explorer) reach(s *state, from uint32) uint32 {
	canonical, key := s.canonical()
	if n, known := e.number[key]; known {
		return n
	}
	n := uint32(len(e.states)) //nolint:gosec // memory ends long before
	e.number[key] = n
	e.states = append(e.states, canonical)
	e.parent = append(e.parent, from)
	return n
}

// lost marks the states from which a run of fair moves leads to one in which every
// task has ended, as it has in the first one. What stays unmarked is a state with a
// task that is lost. A mark goes back by one move at least in a pass, and mostly by
// many: the last states of the search are the nearest to an end.
func (e *explorer) lost() {
	saved := make([]bool, len(e.states))
	for n := range e.states {
		saved[n] = settled(&e.states[n])
	}
	for changed := true; changed; {
		changed = false
		for n := len(e.states) - 1; n > 0; n-- {
			if next := e.fair[e.ends[n-1]:e.ends[n]]; !saved[n] && slices.ContainsFunc(next, func(to uint32) bool { return saved[to] }) {
				saved[n], changed = true, true
			}
		}
	}
	if n := slices.Index(saved, false); n >= 0 {
		e.breaks(neverLost, n)
	}
}

// settled reports whether every task that was created has ended.
func settled(s *state) bool {
	return !slices.ContainsFunc(s.tasks[:], func(r row) bool { return r.status != absent && !r.status.terminal() })
}

// breaks tells the run that leads to state n, and the move from there that breaks the
// promise if it is not a lost task. The states of the search have lost their names, so
// the run is made again with names that stay.
func (e *explorer) breaks(promise string, n int) {
	var path []state
	for ; n != 0; n = int(e.parent[n]) {
		path = append(path, e.states[n])
	}
	now := e.moves.cfg.initial()
	for _, next := range slices.Backward(path) {
		steps := e.moves.all(now)
		i := slices.IndexFunc(steps, func(s step) bool {
			reached, _ := s.canonical()
			return s.broken == "" && reached == next
		})
		e.Trace = append(e.Trace, steps[i].move.String())
		now = steps[i].state
	}
	e.Broken, e.Steps = promise, len(path)
	if promise == neverLost {
		e.Trace = append(e.Trace, "and now: "+now.String())
		return
	}
	steps := e.moves.all(now)
	i := slices.IndexFunc(steps, func(s step) bool { return s.broken == promise })
	e.Trace = append(e.Trace, steps[i].move.String()+", which breaks: "+promise)
	e.Steps++
}

func (m move) String() string {
	text := m.name
	if m.worker >= 0 {
		text = fmt.Sprintf("worker %c: %s", 'A'+m.worker, text)
	}
	if m.task >= 0 {
		text += fmt.Sprintf(" (task %d)", m.task+1)
	}
	return text
}

func (s *state) String() string {
	names := [...]string{"absent", "submitted", "started_executing", "done", "failed", "deleted"}
	var parts []string
	for t, r := range s.tasks {
		if r.status == absent {
			continue
		}
		text := fmt.Sprintf("task %d is %s", t+1, names[r.status])
		if r.status == started {
			text += fmt.Sprintf(" by %c, attempt %d", 'A'+r.owner, r.attempt)
		}
		if r.claimed {
			text += ", claimed in Redis"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
