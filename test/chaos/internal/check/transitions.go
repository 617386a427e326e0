package check

import (
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// transitions is K4: what Postgres committed for each task, change by change,
// is a word of the state machine.
func transitions(h *History, v *Verdict) {
	for id, steps := range h.Transitions {
		v.Counts["transitions"] += len(steps)
		var before history.Transition
		for i, step := range steps {
			if wrong := illegal(before, step, i == 0); wrong != "" {
				v.find(Transitions, "%s: change %d (%s to %s, attempt %d) %s", id, i+1, step.From, step.To, step.Attempt, wrong)
			}
			before = step
		}
		row, there := h.Rows[id]
		if there && (row.Status != before.To || row.Attempt != before.Attempt) {
			v.find(Transitions, "%s is %s at attempt %d, and its last change made it %s at %d",
				id, row.Status, row.Attempt, before.To, before.Attempt)
		}
	}
	for id := range h.Rows {
		if len(h.Transitions[id]) == 0 {
			v.find(Transitions, "%s came to be without a change", id)
		}
	}
}

// illegal says what is wrong with a step, or nothing.
func illegal(before, step history.Transition, first bool) string {
	from, to := task.Status(step.From), task.Status(step.To)
	switch {
	case first && (from != "" || to != task.Submitted || step.Attempt != 0):
		return "is no beginning"
	case first:
		return ""
	case step.From != before.To:
		return "does not follow the one before"
	case !from.CanBecome(to):
		return "is not in the state machine"
	case to == task.Started:
		return illegalStart(before, step)
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

func illegalStart(before, step history.Transition) string {
	switch {
	case step.Attempt != before.Attempt+1:
		return "does not count the attempt"
	case step.Attempt > step.Max:
		return "is one attempt too many"
	case step.At.Before(step.Due):
		return "is early by " + step.Due.Sub(step.At).String()
	case step.Worker == uuid.Nil:
		return "has no session"
	case step.SessionDead:
		return "was made for a dead session"
	}
	return ""
}
