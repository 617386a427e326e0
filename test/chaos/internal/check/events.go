package check

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

// lostWorkers judges worker_lost: a task has it only if its worker's process ended, was
// told to, or stood still for longer than its lease. That the stores were away is no
// death of any worker. It notes which attempts were lost.
func lostWorkers(h *History, v *judge.Verdict) {
	from := mayBeLost(h)
	h.Lost = map[uuid.UUID][]int{}
	for id, steps := range h.Transitions {
		for _, t := range steps {
			if t.Failure != string(task.WorkerLost) || t.From != string(task.Started) {
				continue
			}
			v.Counts["worker_lost"]++
			h.Lost[id] = append(h.Lost[id], t.Attempt)
			if at, down := from[t.Process]; t.Process != "" && (!down || at.After(t.At)) {
				v.Find(Lost, "%s: attempt %d is worker_lost, and the process %s was never down for longer than its lease", id, t.Attempt, t.Process)
			}
		}
	}
}

// mayBeLost is from when on each process that was down may be found lost.
func mayBeLost(h *History) map[string]time.Time {
	from := map[string]time.Time{}
	note := func(pid string, at time.Time) {
		if before, known := from[pid]; !known || at.Before(before) {
			from[pid] = at
		}
	}
	last := map[string]string{}       // the process of a node that started last
	stopped := map[string]time.Time{} // what stands still
	for _, e := range h.Events {
		pid := e.Detail
		switch e.What {
		case history.Started:
			last[e.To] = pid
		case history.Ended:
			note(last[e.To], e.At)
		case history.ToldToStop:
			note(pid, e.At)
		case history.Stopped:
			stopped[pid] = e.At
		case history.Continued:
			at, known := stopped[pid]
			delete(stopped, pid)
			if !known {
				// It stopped itself, at a failpoint: nobody knows when, but it is
				// let go on only after longer than a lease.
				note(pid, time.Time{})
			} else if e.At.Sub(at) > h.Lease {
				note(pid, at.Add(h.Lease))
			}
		}
	}
	for pid, at := range stopped {
		note(pid, at.Add(h.Lease))
	}
	return from
}

// limits judges the type: nothing starts from the answer to a pause until the request that
// ends it, and not more than its limit runs from the answer to that one.
func limits(h *History, v *judge.Verdict) {
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
		// It holds until it is about to be taken back.
		until := slices.IndexFunc(h.Events[i:], func(f history.Event) bool { return f.What == history.Freed && f.To == e.To })
		most, _ := strconv.Atoi(e.Detail) // none for a pause
		running := 0
		for _, step := range all {
			switch {
			case h.Rows[step.Task].Type != e.To:
			case step.From == string(task.Started):
				running--
			case step.To == string(task.Started):
				running++
				if running > most && step.At.After(e.At) && (until < 0 || step.At.Before(h.Events[i+until].At)) {
					v.Find(Limits, "%s started %s after %q was answered, as number %d of %d",
						step.Task, step.At.Sub(e.At), e.What, running, most)
				}
			}
		}
	}
}

// recovery is how long after a fault lateness is still put down to it.
const recovery = 3 * time.Second

// lateness counts, in microseconds, how long after their due time the first attempts
// arrived; in calm, of tasks that fell due when no fault was under way or had just ended. It
// is no promise, and has no verdict.
func lateness(h *History, v *judge.Verdict) {
	late := map[string][]time.Duration{}
	for _, c := range h.Calls {
		if c.Op != "create" || c.Outcome != judge.OK {
			continue
		}
		for _, a := range h.Arrivals[c.Task] {
			if a.Attempt > 1 {
				continue
			}
			from := c.Returned
			if c.Due.After(from) {
				from = c.Due
			}
			d := max(0, a.At.Sub(from))
			late["lateness"] = append(late["lateness"], d)
			if !disturbed(h.Events, from) {
				late["lateness in calm"] = append(late["lateness in calm"], d)
			}
		}
	}
	for name, durations := range late {
		s := judge.SpreadOf(durations)
		for rank, d := range map[string]time.Duration{"p50": s.P50, "p99": s.P99, "max": s.Max} {
			v.Counts[name+" "+rank+" us"] = int(d.Microseconds())
		}
	}
}

// disturbed is whether a fault was under way at a time, or had just ended.
func disturbed(events []history.Event, at time.Time) bool {
	open := false
	for _, e := range events {
		if e.At.After(at) {
			break
		}
		switch e.What {
		case history.Fault:
			open = true
		case history.FaultOver:
			if open = false; at.Sub(e.At) < recovery {
				return true
			}
		}
	}
	return open
}
