package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
)

// evidence is all that a run has seen.
type evidence struct {
	followed
	planned int
	calls   []judge.Call
	took    time.Duration
	grace   time.Duration
	// witnessed: the tasks were webhooks to a sink, which saw the arrivals.
	witnessed bool
	arrivals  map[uuid.UUID][]judge.Arrival
}

// report is the judgement of a run.
type report struct {
	evidence
	*judge.Verdict
	acknowledged int
	// lateness is from the execution time to the start, of tasks created ahead
	// of it; startDelay from the creation to the start, of the others.
	latency, lateness, startDelay judge.Spread
}

// What is counted beside the broken promises and the tasks of each status.
const (
	unreached = "bar tasks ran and got no answer from their URL"
	overdue   = "due and still submitted"
	later     = "not due yet, or due too late to be followed"
)

// broken reports whether the promise was broken, or could not be looked at.
func (r *report) broken() bool {
	return len(r.Found) > 0 || r.err != nil || r.acknowledged == 0
}

// judgeRun draws the conclusions. It does no I/O and reads no clock.
func judgeRun(e evidence) *report {
	r := &report{evidence: e, Verdict: judge.NewVerdict()}
	for _, kind := range []string{judge.Early, judge.Twice, judge.Lost} {
		r.Counts[kind] = 0 // is shown in any case
	}
	record := &judge.Record{Calls: e.calls, Rows: map[uuid.UUID]judge.Row{}, Arrivals: e.arrivals}
	var latency, lateness, startDelay []time.Duration
	for _, c := range e.calls {
		if c.Outcome != judge.OK {
			r.Counts["refused: "+refusal(c)]++
			continue
		}
		r.acknowledged++
		latency = append(latency, c.Returned.Sub(c.Invoked))
		t, known := e.seen[c.Task]
		if !known {
			continue
		}
		record.Rows[t.ID] = judge.Row{ID: t.ID, N: c.N, Status: t.Status, Due: t.ExecutionTime, Attempt: t.Attempt, MaxAttempts: 1}
		r.hold(t, c.Due)
		switch {
		case t.StartedAt == nil:
		case c.Due.After(t.CreatedAt):
			lateness = append(lateness, t.StartedAt.Sub(c.Due))
		default:
			startDelay = append(startDelay, t.StartedAt.Sub(t.CreatedAt))
		}
	}
	r.latency, r.lateness, r.startDelay = judge.SpreadOf(latency), judge.SpreadOf(lateness), judge.SpreadOf(startDelay)
	if e.witnessed {
		addRecovered(record)
		judge.Schedule(record, r.Verdict)
	}
	if e.err == nil {
		judge.Multiset(record, r.Verdict)
	}
	return r
}

// addRecovered adds tasks that only the witness knows: a create whose outcome is unknown
// may have made one.
func addRecovered(r *judge.Record) {
	for id, arrivals := range r.Arrivals {
		n := arrivals[0].N
		if _, known := r.Rows[id]; known || n < 0 || n >= int64(len(r.Calls)) || r.Calls[n].Outcome != judge.Unknown {
			continue
		}
		r.Rows[id] = judge.Row{ID: id, N: n, Due: r.Calls[n].Due, MaxAttempts: 1}
	}
}

// hold holds what the scheduler says of a task against when it was to run.
func (r *report) hold(t client.Task, at time.Time) {
	r.Counts[t.Status]++
	switch {
	case t.Failure == nil:
	case t.Type == "bar" && (t.Failure.Code == "handler_error" || t.Failure.Code == "timeout"):
		r.Counts[unreached]++
	default:
		r.Counts["failure: "+t.Failure.Code]++
	}
	if t.StartedAt != nil && t.StartedAt.Before(at) {
		r.Breach(judge.Early, judge.ScheduleChecker, "%s started %v before its time", t.ID, at.Sub(*t.StartedAt))
	}
	if t.Attempt > 1 {
		r.Breach(judge.Twice, judge.ScheduleChecker, "%s has %d attempts, and 1 was allowed", t.ID, t.Attempt)
	}
	if t.Status != client.Submitted {
		return
	}
	due := at
	if due.Before(t.CreatedAt) {
		due = t.CreatedAt
	}
	switch late := r.looked.Sub(due); {
	case late < 0:
		r.Counts[later]++
	case late > r.grace && r.ending != interrupted && !at.After(r.until):
		r.Breach(judge.Lost, judge.ScheduleChecker, "%s is still submitted %v after it fell due", t.ID, late.Round(time.Millisecond))
	default:
		r.Counts[overdue]++
	}
}

// refusal says why there is no acknowledgement, in a few words that many creates share.
func refusal(c judge.Call) string {
	if c.Code == 0 {
		return "no answer"
	}
	return fmt.Sprintf("answered %d %s", c.Code, c.Why)
}

// print writes the report for a person to read.
func (r *report) print(out io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("created", "%d of %d in %v: %.0f/s, latency %v", r.acknowledged, r.planned,
		r.took.Round(time.Millisecond), float64(r.acknowledged)/r.took.Seconds(), r.latency)
	if sent := len(r.calls); sent < r.planned {
		line("not sent", "%d", r.planned-sent)
	}
	line("followed", "tasks due by %s, until %s", r.until.Local().Format(time.TimeOnly), r.ending)
	line("lateness", "%v, of tasks created ahead of their time", r.lateness)
	line("start delay", "%v, of tasks created overdue", r.startDelay)
	checkers := []string{judge.ScheduleChecker}
	if r.err == nil {
		checkers = append(checkers, judge.MultisetChecker)
	}
	r.Print(&b, checkers...)
	switch {
	case r.acknowledged == 0:
		line("verdict", "no task was acknowledged, so nothing is shown")
	case r.err != nil:
		line("verdict", "not proven, the last look failed: %v", r.err)
	case r.broken():
		line("verdict", "BROKEN")
	default:
		line("verdict", "%d early, %d twice, %d lost", r.Counts[judge.Early], r.Counts[judge.Twice], r.Counts[judge.Lost])
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
