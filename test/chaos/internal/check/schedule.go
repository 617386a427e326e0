package check

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// schedule is K1: what ran, how often and when, against what was asked. The
// witness' word counts, and not the scheduler's.
func schedule(h *History, v *Verdict) {
	deleted, maybe := map[uuid.UUID]time.Time{}, map[uuid.UUID]bool{}
	for _, c := range h.Calls {
		if c.Op == "delete" {
			v.Counts["deletes "+string(c.Outcome)]++
			if c.Outcome == history.OK {
				deleted[c.Task] = c.Returned
			}
			maybe[c.Task] = maybe[c.Task] || c.Outcome != history.Fail
		}
	}
	for id, row := range h.Rows {
		arrivals := h.Arrivals[id]
		v.Counts["rows"]++
		v.Counts["executions"] += len(arrivals)
		v.Counts["ended "+row.Status+reason(row)]++
		for _, a := range arrivals {
			if a.At.Before(row.Due) {
				v.Counts["early"]++
				v.find(Schedule, "%s arrived %s before its time", id, row.Due.Sub(a.At))
			}
		}
		if at, ok := deleted[id]; ok || row.Status == string(task.Deleted) {
			afterDelete(h, v, row, arrivals, at)
		}
		if row.Status == string(task.Deleted) && !maybe[id] {
			v.find(Schedule, "%s is deleted, and nobody was told so", id)
		}
		if row.MaxAttempts > 1 {
			repeated(h, v, row, arrivals)
		} else if len(arrivals) > 1 {
			v.Counts["twice"]++
			v.find(Schedule, "%s arrived %d times", id, len(arrivals))
		}
		if row.Status == string(task.Done) {
			done(h, v, row)
		}
		if row.Status == string(task.Failed) && len(arrivals) == 0 && row.Failure == string(task.UnknownType) {
			v.Counts["lost"]++
			v.find(Schedule, "%s was never run: %s", id, row.Failure)
		}
	}
	for id, arrivals := range h.Arrivals {
		if _, known := h.Rows[id]; !known {
			v.find(Schedule, "%s arrived %d times, and there is no such task", id, len(arrivals))
		}
	}
}

func reason(row history.Row) string {
	if row.Failure == "" || row.Status != string(task.Failed) {
		return ""
	}
	return " (" + row.Failure + ")"
}

// done judges a task that is said to be done: the attempt that it ended with
// had arrived, and been answered, before Postgres said so.
func done(h *History, v *Verdict, row history.Row) {
	if len(h.Arrivals[row.ID]) == 0 {
		v.Counts["lost"]++
		v.find(Schedule, "%s is done, and never arrived", row.ID)
		return
	}
	steps := h.Transitions[row.ID]
	if len(steps) == 0 {
		return
	}
	end := steps[len(steps)-1]
	answered := slices.ContainsFunc(h.Answers[row.ID], func(a history.Arrival) bool {
		return a.Attempt == end.Attempt && !a.At.After(end.At)
	})
	if !answered {
		v.find(Schedule, "%s was done before its attempt %d was", row.ID, end.Attempt)
	}
}

// afterDelete judges a task that was deleted: it never ran. One that may be
// attempted again can have run before, and been deleted while it waited.
func afterDelete(h *History, v *Verdict, row history.Row, arrivals []history.Arrival, at time.Time) {
	lost := lostAttempts(h, row.ID)
	for _, a := range arrivals {
		if row.MaxAttempts == 1 || !at.IsZero() && a.At.After(at) && !slices.Contains(lost, a.Attempt) {
			v.Counts["deleted but ran"]++
			v.find(Schedule, "%s was deleted, and arrived with attempt %d", row.ID, a.Attempt)
		}
	}
}

// lostAttempts are those that ended because their session was dead. Their
// worker may have been stopped on its way to the effect, which then comes late.
func lostAttempts(h *History, id uuid.UUID) (lost []int) {
	for _, t := range h.Transitions[id] {
		if t.Failure == string(task.WorkerLost) && t.From == string(task.Started) {
			lost = append(lost, t.Attempt)
		}
	}
	return lost
}

// repeated judges a task whose user allowed more than one attempt: no attempt
// arrives twice, none beyond the limit, and they come in order, except for
// those of a worker that was found lost: it may have been stopped on its way.
func repeated(h *History, v *Verdict, row history.Row, arrivals []history.Arrival) {
	lost := lostAttempts(h, row.ID)
	highest := 0
	seen := map[int]bool{}
	for _, a := range arrivals {
		switch {
		case seen[a.Attempt]:
			v.Counts["twice"]++
			v.find(Schedule, "%s arrived twice with attempt %d", row.ID, a.Attempt)
		case a.Attempt > row.MaxAttempts:
			v.find(Schedule, "%s arrived with attempt %d of %d", row.ID, a.Attempt, row.MaxAttempts)
		case a.Attempt < highest && !slices.Contains(lost, a.Attempt):
			v.find(Schedule, "%s arrived with attempt %d after %d", row.ID, a.Attempt, highest)
		}
		seen[a.Attempt] = true
		highest = max(highest, a.Attempt)
	}
}
