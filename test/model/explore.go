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
	cfg    Config
	moves  moves
	number map[packed]uint32
	states []state
	parent []uint32
	// The fair moves: those of state n are fair[ends[n-1]:ends[n]].
	fair []uint32
	ends []int
	all  int
}

// Explore visits every state that cfg can reach, or stops at the first move
// that breaks a promise. When all were visited it looks for states from which
// some task can no longer come to its end, however lucky the run from there.
func Explore(cfg Config) Result {
	e := &explorer{cfg: cfg, moves: moves{cfg: cfg}, number: map[packed]uint32{}}
	broken, trace := e.search()
	if broken == "" {
		broken, trace = e.lost()
	}
	steps := len(trace)
	if broken == neverLost {
		steps--
	}
	return Result{States: len(e.states), Moves: e.all, Broken: broken, Steps: steps, Trace: trace}
}

func (cfg Config) initial() state {
	s := state{faults: uint8(cfg.Faults), pausing: cfg.Pause} //nolint:gosec // a handful
	for t := range s.tasks {
		s.tasks[t].owner = nobody
	}
	for w := cfg.Workers; w < maxWorkers; w++ {
		s.workers[w].lease, s.workers[w].gone = dead, true
	}
	return s
}

func (e *explorer) search() (broken string, trace []string) {
	initial := e.cfg.initial()
	e.reach(&initial, 0)
	for n := 0; n < len(e.states); n++ {
		for _, step := range e.moves.all(e.states[n]) {
			e.all++
			if step.broken != "" {
				return step.broken, e.trace(n, step.broken)
			}
			to := e.reach(&step.state, uint32(n))
			if step.fair {
				e.fair = append(e.fair, to)
			}
		}
		e.ends = append(e.ends, len(e.fair))
	}
	return "", nil
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
func (e *explorer) lost() (broken string, trace []string) {
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
		return neverLost, e.trace(n, "")
	}
	return "", nil
}

// settled reports whether every task that was created has ended.
func settled(s *state) bool {
	for _, r := range s.tasks {
		if r.status != absent && !r.status.terminal() {
			return false
		}
	}
	return true
}

// trace tells the run that leads to state n, and the move from there that
// breaks a promise if it is not a lost one. The states of the search have lost
// their names, so the run is made again with names that stay.
func (e *explorer) trace(n int, broken string) (lines []string) {
	var path []state
	for ; n != 0; n = int(e.parent[n]) {
		path = append(path, e.states[n])
	}
	now := e.cfg.initial()
	again := moves{cfg: e.cfg}
	for i := len(path) - 1; i >= 0; i-- {
		for _, step := range again.all(now) {
			if reached, _ := step.canonical(); step.broken == "" && reached == path[i] {
				lines = append(lines, step.move.String())
				now = step.state
				break
			}
		}
	}
	if broken == "" {
		return append(lines, "and now: "+now.String())
	}
	for _, step := range again.all(now) {
		if step.broken == broken {
			return append(lines, step.move.String()+", which breaks: "+broken)
		}
	}
	return lines
}

func (m move) String() string {
	var b strings.Builder
	if m.worker >= 0 {
		fmt.Fprintf(&b, "worker %c: ", 'A'+m.worker)
	}
	b.WriteString(m.name)
	if m.task >= 0 {
		fmt.Fprintf(&b, " (task %d)", m.task+1)
	}
	return b.String()
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
