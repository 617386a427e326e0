package check

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/judge"
)

// notFound is the code of the problem that there is no such task.
const notFound = "not_found"

// linear judges that for each task all that anybody was told of it can be put in
// one order that the state machine explains. Of the audit nothing is taken here but
// when a task had been kept for long enough: starts are seen by the witness, and the rest
// by clients.
func linear(h *History, v *judge.Verdict) {
	ops := map[uuid.UUID][]porcupine.Operation{}
	created := map[uuid.UUID]int64{}
	byN := map[int64]uuid.UUID{}
	for id, row := range h.Rows {
		byN[row.N] = id
	}
	add := func(id uuid.UUID, call, ret int64, in step) {
		ops[id] = append(ops[id], porcupine.Operation{ClientId: len(ops[id]), Input: in, Call: call, Return: ret})
	}
	for _, c := range slices.Concat(h.Calls, looks(h)) {
		if c.Op == "list" {
			continue // its page tells
		}
		id := c.Task
		if id == uuid.Nil {
			id = byN[c.N]
		}
		if id == uuid.Nil || c.Outcome == judge.Fail && c.Status == "" && c.Why != notFound {
			continue // it never came to be, or nothing was told
		}
		ret := c.Returned.UnixNano()
		if c.Outcome == judge.Unknown {
			ret = math.MaxInt64 // it may happen at any time from now on
		}
		if c.Op == "create" {
			created[id] = c.Invoked.UnixNano()
		}
		if c.Op != "get" || c.Outcome != judge.Unknown {
			add(id, c.Invoked.UnixNano(), ret, step{op: c.Op, outcome: c.Outcome, status: task.Status(c.Status)})
		}
	}
	for id, row := range h.Rows {
		begin := created[id]
		arrived := map[int]int64{}
		for _, a := range h.Arrivals[id] {
			arrived[a.Attempt] = a.At.UnixNano()
		}
		for attempt := 1; attempt <= row.Attempt; attempt++ {
			start := int64(math.MaxInt64) // started, and nobody saw it
			if at, seen := arrived[attempt]; seen {
				start = at
			}
			add(id, begin, start, step{op: "start", attempt: attempt})
			end := step{op: "end", attempt: attempt, status: task.Status(row.Status)}
			if attempt < row.Attempt || end.status == task.Deleted || row.Failure == string(task.Expired) {
				end.status = task.Submitted // for another attempt
			}
			if end.status != task.Started {
				add(id, begin, math.MaxInt64, end)
			}
		}
		if row.Failure == string(task.Expired) {
			add(id, begin, math.MaxInt64, step{op: "expire", attempt: row.Attempt})
		}
		if h.Retention > 0 && !row.Finished.IsZero() {
			add(id, row.Finished.Add(h.Retention).UnixNano(), math.MaxInt64, step{op: "forget"})
		}
	}
	for id, history := range ops {
		v.Counts["histories checked"]++
		switch porcupine.CheckOperationsTimeout(machine, history, 10*time.Second) {
		case porcupine.Illegal:
			v.Find(Linear, "%s: no order explains %s", id, describe(history))
		case porcupine.Unknown:
			v.Find(Linear, "%s: no verdict within 10 s", id)
		case porcupine.Ok:
		}
	}
}

// step is what is put in order.
type step struct {
	op      string
	outcome judge.Outcome
	status  task.Status // what the answer told, or what the end made of it
	attempt int
}

// state is what the model knows of a task.
type state struct {
	status  task.Status // empty: it does not exist
	gone    bool        // it did, and is no longer kept
	attempt int
}

var machine = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(before, input, _ any) (bool, any) {
		return next(before.(state), input.(step)) //nolint:forcetypeassert,errcheck // They are all that is put in.
	},
}

// next says whether a step may be taken from s, and where it leads. A step
// whose outcome is unknown may also have done nothing.
func next(s state, in step) (bool, state) {
	switch in.op {
	case "create":
		if s.status == "" && !s.gone {
			return true, state{status: task.Submitted}
		}
		return in.outcome == judge.Unknown, s
	case "delete":
		switch {
		case in.outcome == judge.Fail:
			return in.status == s.status && s.status != task.Submitted && s.status != task.Deleted, s
		case s.status == task.Submitted:
			return true, state{status: task.Deleted, attempt: s.attempt}
		}
		return s.status == task.Deleted || in.outcome == judge.Unknown, s
	case "move":
		if in.outcome == judge.Fail {
			return in.status == s.status && s.status != task.Submitted, s
		}
		return in.outcome == judge.Unknown || s.status == task.Submitted, s
	case "cancel":
		switch {
		case in.outcome == judge.Fail:
			return in.status == s.status && s.status.Terminal(), s
		case in.outcome == judge.Unknown:
			if s.status == task.Submitted {
				return true, state{status: task.Deleted, attempt: s.attempt}
			}
			return true, s
		case in.status == task.Started:
			return s.status == task.Started, s
		case s.status == task.Submitted:
			return true, state{status: task.Deleted, attempt: s.attempt}
		}
		return s.status == task.Deleted, s // by an earlier try
	case "expire":
		return s.status == task.Submitted && s.attempt == in.attempt, state{status: task.Failed, attempt: s.attempt}
	case "get":
		return in.status == s.status, s
	case "forget":
		if s.status.Terminal() {
			return true, state{gone: true, attempt: s.attempt}
		}
		return true, s // it was kept for longer than the run
	case "start":
		return s.status == task.Submitted && s.attempt == in.attempt-1, state{status: task.Started, attempt: in.attempt}
	case "end":
		return s.status == task.Started && s.attempt == in.attempt, state{status: in.status, attempt: s.attempt}
	}
	return false, s
}

// describe lists steps, each with the time in which it took effect.
func describe(ops []porcupine.Operation) string {
	var words strings.Builder
	for _, op := range ops {
		in := op.Input.(step) //nolint:forcetypeassert,errcheck // as above
		fmt.Fprintf(&words, "%s %s%s %d [%v, ", in.op, in.outcome, in.status, in.attempt, time.Duration(op.Call-ops[0].Call))
		if op.Return == math.MaxInt64 {
			words.WriteString("?]; ")
		} else {
			fmt.Fprintf(&words, "%v]; ", time.Duration(op.Return-ops[0].Call))
		}
	}
	return words.String()
}
