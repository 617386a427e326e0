package check

import (
	"strings"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

// transitions judges that what Postgres committed for each task, change by change, is a
// word of the state machine.
func transitions(h *History, v *judge.Verdict) {
	changed := map[uuid.UUID]bool{}
	for _, c := range h.Calls {
		if c.Op == "move" || c.Op == "cancel" {
			changed[c.Task] = changed[c.Task] || c.Outcome != judge.Fail
		}
	}
	for id, steps := range h.Transitions {
		v.Counts["transitions"] += len(steps)
		var before history.Transition
		for i, step := range steps {
			if wrong := illegal(before, step, i == 0, changed[id]); wrong != "" {
				v.Find(Transitions, "%s: change %d (%s to %s, attempt %d) %s", id, i+1, step.From, step.To, step.Attempt, wrong)
			}
			before = step
		}
		row, there := h.Rows[id]
		if there && (row.Status != before.To || row.Attempt != before.Attempt) {
			v.Find(Transitions, "%s is %s at attempt %d, and its last change made it %s at %d",
				id, row.Status, row.Attempt, before.To, before.Attempt)
		}
	}
	for id := range h.Rows {
		if len(h.Transitions[id]) == 0 {
			v.Find(Transitions, "%s came to be without a change", id)
		}
	}
}

// illegal says what is wrong with a step, or nothing. A client may have changed the task.
func illegal(before, step history.Transition, first, changed bool) string {
	from, to := task.Status(step.From), task.Status(step.To)
	switch {
	case first && (from != "" || to != task.Submitted || step.Attempt != 0):
		return "is no beginning"
	case first:
		return ""
	case step.From != before.To:
		return "does not follow the one before"
	case from == to && !to.Terminal() && changed && step.Attempt == before.Attempt && step.Worker == before.Worker:
		return "" // a move, or a wish to cancel
	case !from.CanBecome(to):
		return "is not in the state machine"
	case from == task.Submitted && to == task.Failed && step.Failure != string(task.Expired):
		return "fails what has not started, and did not expire"
	case to == task.Started && step.Attempt != before.Attempt+1:
		return "does not count the attempt"
	case to == task.Started && step.Attempt > step.Max:
		return "is one attempt too many"
	case to == task.Started && step.At.Before(step.Due):
		return "is early by " + step.Due.Sub(step.At).String()
	case to == task.Started && (step.Worker == uuid.Nil || step.SessionDead):
		return "was made for no session, or a dead one"
	case to == task.Started:
		return ""
	case step.Attempt != before.Attempt:
		return "counts an attempt that was not started"
	case from == task.Started && step.Worker != before.Worker:
		return "ends another session's attempt"
	case from == task.Started && to == task.Submitted && step.Attempt >= step.Max:
		return "allows more attempts than the user"
	case from == task.Started && step.Failure == string(task.WorkerLost) && !step.SessionDead:
		return "says that the worker was lost, and its session is not dead"
	case from == task.Started && step.Failure != string(task.WorkerLost) && step.SessionDead:
		return "was made by a session that was dead"
	}
	return ""
}

// settle is what the run itself saw of the stores once the faults were over, and the
// time it took.
func settle(h *History, v *judge.Verdict) {
	v.Counts["settled after ms"] = int(1000 * h.Settled.Took)
	for _, wrong := range h.Settled.Wrong {
		v.Find(Settle, "after %.1f s: %s", h.Settled.Took, wrong)
	}
}

const (
	// slack is how many goroutines or descriptors a process may hold more after the faults
	// than before: pools and timers breathe.
	slack = 60
	// poolSize is the most connections to Postgres that a node may have.
	poolSize    = 16
	memoryLimit = 1 << 30
)

// leaks judges that processes which survived hold about what they held before, and
// that none ended in a way that nobody meant.
func leaks(h *History, v *judge.Verdict) {
	before := map[string]history.Vitals{}
	for _, vital := range h.Vitals {
		base, after := before[vital.Node]
		if !after {
			before[vital.Node] = vital
			continue
		}
		if grown := vital.Goroutines - base.Goroutines; grown > slack {
			v.Find(Leaks, "%s has %d goroutines more than at the beginning", vital.Node, grown)
		}
		if grown := vital.Descriptors - base.Descriptors; grown > slack {
			v.Find(Leaks, "%s has %d descriptors more than at the beginning", vital.Node, grown)
		}
		if vital.Connections > poolSize*(len(before)-1) {
			v.Find(Leaks, "%d connections to postgres are more than all pools may have", vital.Connections)
		}
		if vital.RSS > memoryLimit {
			v.Find(Leaks, "%s holds %d MiB", vital.Node, vital.RSS>>20)
		}
	}
	for _, e := range h.Events {
		switch e.What {
		case history.Fault:
			v.Counts["faults"]++
		case history.Ended:
			v.Counts["processes ended"]++
			if strings.Contains(e.Detail, "exit status 2") || strings.Contains(e.Detail, "exit status 66") {
				v.Find(Leaks, "%s crashed, see its log: %s", e.To, e.Detail)
			}
		}
	}
}
