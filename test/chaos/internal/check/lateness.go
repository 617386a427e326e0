package check

import (
	"slices"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// recovery is how long after a fault lateness is still put down to it.
const recovery = 3 * time.Second

// lateness counts, in microseconds, how long after their due time the first attempts
// arrived; in calm, of tasks that fell due when no fault was under way or had just ended. It
// is no promise, and has no verdict.
func lateness(h *History, v *Verdict) {
	created := map[int64]time.Time{}
	for _, c := range h.Calls {
		if c.Op == "create" && c.Outcome == history.OK {
			created[c.N] = c.Returned
		}
	}
	var all, calm []time.Duration
	for id, arrivals := range h.Arrivals {
		for _, a := range arrivals {
			from, ok := created[a.N]
			if !ok || a.Attempt > 1 {
				continue
			}
			if due := h.Rows[id].Due; due.After(from) {
				from = due
			}
			late := max(0, a.At.Sub(from))
			all = append(all, late)
			if !disturbed(h.Events, from) {
				calm = append(calm, late)
			}
		}
	}
	quantiles(v, "lateness", all)
	quantiles(v, "lateness in calm", calm)
}

// disturbed is whether a fault was under way at a time, or had just ended.
func disturbed(events []history.Event, at time.Time) bool {
	open := false
	for _, e := range events {
		if e.At.After(at) {
			break
		}
		switch e.What {
		case "fault":
			open = true
		case "fault over":
			if open = false; at.Sub(e.At) < recovery {
				return true
			}
		}
	}
	return open
}

func quantiles(v *Verdict, name string, of []time.Duration) {
	if len(of) == 0 {
		return
	}
	slices.Sort(of)
	at := func(q float64) int { return int(of[int(q*float64(len(of)-1))].Microseconds()) }
	v.Counts[name+" p50 us"], v.Counts[name+" p99 us"], v.Counts[name+" max us"] = at(0.5), at(0.99), at(1)
}
