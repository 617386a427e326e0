package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/testkit/witness"
)

// evidence is all that a run has seen.
type evidence struct {
	planned     int
	submissions []submission
	took        time.Duration
	followed    followed
	grace       time.Duration
	// witnessed: the tasks were webhooks to a sink, which saw the arrivals.
	witnessed bool
	arrivals  map[uuid.UUID][]witness.Call
}

// finding is one broken promise.
type finding struct {
	id   uuid.UUID
	what string
}

// report is the judgement of a run.
type report struct {
	planned, sent, acknowledged int
	took                        time.Duration
	refused                     map[string]int
	latency                     quantiles

	statuses, failures map[string]int
	// unreached are bar tasks that ran and got no answer from their URL.
	unreached int
	// lateness is from the execution time to the start, of tasks created ahead
	// of it; startDelay from the creation to the start, of the others.
	lateness, startDelay quantiles
	// overdue tasks wait although they are due, later ones are not due yet or
	// were due too late to be followed.
	overdue, later int

	early, twice, lost []finding

	witnessed       bool
	arrivals        int
	ending          ending
	until           time.Time
	followErr       error
	unconfirmedRuns int
}

// broken reports whether the promise was broken, or could not be looked at.
func (r *report) broken() bool {
	return len(r.early)+len(r.twice)+len(r.lost) > 0 || r.followErr != nil || r.acknowledged == 0
}

// judge draws the conclusions. It does no I/O and reads no clock.
func judge(e evidence) *report {
	r := &report{
		planned: e.planned, sent: len(e.submissions), took: e.took,
		refused: map[string]int{}, statuses: map[string]int{}, failures: map[string]int{},
		witnessed: e.witnessed, ending: e.followed.ending, until: e.followed.until, followErr: e.followed.err,
	}
	var latency, lateness, startDelay []time.Duration
	plans := make(map[uuid.UUID]plan, len(e.submissions))
	unknown := 0
	for _, s := range e.submissions {
		if s.id == uuid.Nil {
			r.refused[s.refused]++
			if s.unknown {
				unknown++
			}
			continue
		}
		r.acknowledged++
		latency = append(latency, s.latency)
		if _, known := plans[s.id]; known {
			r.lost = append(r.lost, finding{s.id, "two creates were acknowledged with this one id"})
			continue
		}
		plans[s.id] = s.plan
		record, known := e.followed.records[s.id]
		if !known {
			continue
		}
		r.count(s.plan, record, e)
		if record.StartedAt == nil {
			continue
		}
		if s.at.After(record.CreatedAt) {
			lateness = append(lateness, record.StartedAt.Sub(s.at))
		} else {
			startDelay = append(startDelay, record.StartedAt.Sub(record.CreatedAt))
		}
	}
	for _, id := range e.followed.missing {
		r.lost = append(r.lost, finding{id, "acknowledged, and now answered with 404"})
	}
	if e.witnessed {
		r.hear(e, plans, unknown)
	}
	r.latency, r.lateness, r.startDelay = measure(latency), measure(lateness), measure(startDelay)
	return r
}

// count holds one record of the scheduler against the plan.
func (r *report) count(p plan, seen record, e evidence) {
	r.statuses[seen.Status]++
	switch {
	case seen.Failure == nil:
	case p.taskType == "bar" && (seen.Failure.Code == "handler_error" || seen.Failure.Code == "timeout"):
		r.unreached++
	default:
		r.failures[seen.Failure.Code]++
	}
	if seen.StartedAt != nil && seen.StartedAt.Before(p.at) {
		r.early = append(r.early, finding{seen.ID, fmt.Sprintf("started %v before its time", p.at.Sub(*seen.StartedAt))})
	}
	if seen.Attempt > 1 {
		r.twice = append(r.twice, finding{seen.ID, fmt.Sprintf("has %d attempts, and 1 was allowed", seen.Attempt)})
	}
	if seen.Status != client.Submitted {
		return
	}
	due := p.at
	if due.Before(seen.CreatedAt) {
		due = seen.CreatedAt
	}
	overdue := e.followed.looked.Sub(due)
	switch {
	case overdue < 0:
		r.later++
	case overdue > e.grace && e.followed.ending != interrupted && !p.at.After(e.followed.until):
		r.lost = append(r.lost, finding{seen.ID, fmt.Sprintf("still submitted %v after it fell due", overdue.Round(time.Millisecond))})
	default:
		r.overdue++
	}
}

// hear holds what the witness saw against the plans and the records.
func (r *report) hear(e evidence, plans map[uuid.UUID]plan, unknown int) {
	strangers := map[uuid.UUID]int{}
	for id, arrivals := range e.arrivals {
		r.arrivals += len(arrivals)
		p, mine := plans[id]
		if !mine {
			strangers[id] = len(arrivals)
		}
		if len(arrivals) > 1 {
			r.twice = append(r.twice, finding{id, fmt.Sprintf("arrived %d times at the witness", len(arrivals))})
		}
		if mine && arrivals[0].At.Before(p.at) {
			r.early = append(r.early, finding{id, fmt.Sprintf("arrived %v before its time", p.at.Sub(arrivals[0].At))})
		}
		if e.followed.records[id].Status == client.Deleted {
			r.twice = append(r.twice, finding{id, "is deleted, and yet arrived at the witness"})
		}
	}
	for id := range plans {
		if e.followed.records[id].Status == client.Done && len(e.arrivals[id]) == 0 {
			r.lost = append(r.lost, finding{id, "is done, and never arrived at the witness"})
		}
	}
	// A create whose outcome is unknown may have made a task, but only one.
	r.unconfirmedRuns = len(strangers)
	if len(strangers) > unknown {
		for id := range strangers {
			r.twice = append(r.twice, finding{id, "arrived at the witness, and no create was answered with it"})
		}
	}
}

// quantiles describe how a duration is spread.
type quantiles struct {
	count         int
	p50, p99, max time.Duration
}

func measure(durations []time.Duration) quantiles {
	if len(durations) == 0 {
		return quantiles{}
	}
	slices.Sort(durations)
	rank := func(percent int) time.Duration { return durations[(len(durations)*percent+99)/100-1] }
	return quantiles{count: len(durations), p50: rank(50), p99: rank(99), max: rank(100)}
}
