package check

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// limits is the part of the schedule that concerns the type: nothing starts from the answer
// to a pause until the request that ends it, and not more than its limit runs from the
// answer to that one.
func limits(h *History, v *Verdict) {
	var all []history.Transition
	for _, steps := range h.Transitions {
		all = append(all, steps...)
	}
	slices.SortFunc(all, func(a, b history.Transition) int { return cmp.Compare(a.Seq, b.Seq) })
	for i, e := range h.Events {
		if e.What != history.Paused && e.What != history.Limited {
			continue
		}
		v.Counts[e.What]++
		from, until := e.At, end(h.Events[i:], e.To)
		most, _ := strconv.Atoi(e.Detail) // none for a pause
		running := 0
		for _, step := range all {
			switch {
			case h.Rows[step.Task].Type != e.To:
			case step.From == string(task.Started):
				running--
			case step.To == string(task.Started):
				running++
				if step.At.After(from) && step.At.Before(until) && running > most {
					v.find(Schedule, "%s started %s after %q was answered, as number %d of %d",
						step.Task, step.At.Sub(from), e.What, running, most)
				}
			}
		}
	}
}

// end is when the first of these events was taken back that concern a type.
func end(events []history.Event, taskType string) time.Time {
	for _, e := range events {
		if e.What == history.Freed && e.To == taskType {
			return e.At
		}
	}
	return time.Unix(1<<40, 0)
}
