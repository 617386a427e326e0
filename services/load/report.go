package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxFindings is how many broken promises of a kind are listed one by one.
const maxFindings = 20

// print writes the report for a person to read.
func (r *report) print(out io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("created", "%d of %d in %v: %.0f/s, latency %v",
		r.acknowledged, r.planned, r.took.Round(time.Millisecond), float64(r.acknowledged)/r.took.Seconds(), r.latency)
	if r.sent < r.planned {
		line("not sent", "%d", r.planned-r.sent)
	}
	for _, why := range slices.Sorted(maps.Keys(r.refused)) {
		line("refused", "%d: %s", r.refused[why], why)
	}
	if r.acknowledged == 0 {
		line("verdict", "no task was acknowledged, so nothing is shown")
		return flush(out, &b)
	}

	line("followed", "tasks due by %s, until %s", r.until.Local().Format(time.TimeOnly), r.ending)
	for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
		line("status", "%d %s", r.statuses[status], status)
	}
	for _, code := range slices.Sorted(maps.Keys(r.failures)) {
		line("failure", "%d %s", r.failures[code], code)
	}
	if r.unreached > 0 {
		line("unreached", "%d bar tasks ran and got no answer from their URL", r.unreached)
	}
	if r.later > 0 {
		line("later", "%d are not due yet and stay submitted", r.later)
	}
	if r.overdue > 0 {
		line("overdue", "%d are due and still submitted", r.overdue)
	}
	line("lateness", "%v, of tasks created ahead of their time", r.lateness)
	line("start delay", "%v, of tasks created overdue", r.startDelay)
	if r.witnessed {
		line("witness", "%d arrivals, %d of them tasks whose create has no known outcome", r.arrivals, r.unconfirmedRuns)
	}

	for _, kind := range []struct {
		name     string
		findings []finding
	}{{"early", r.early}, {"twice", r.twice}, {"lost", r.lost}} {
		line(kind.name, "%d", len(kind.findings))
		for _, f := range kind.findings[:min(len(kind.findings), maxFindings)] {
			line("", "%v %s", f.id, f.what)
		}
	}
	switch {
	case r.followErr != nil:
		line("verdict", "not proven, the last look failed: %v", r.followErr)
	case r.broken():
		line("verdict", "BROKEN")
	default:
		line("verdict", "%d early, %d twice, %d lost", len(r.early), len(r.twice), len(r.lost))
	}
	return flush(out, &b)
}

func flush(out io.Writer, b *strings.Builder) error {
	_, err := io.WriteString(out, b.String())
	return err
}

func (q quantiles) String() string {
	if q.count == 0 {
		return "of no task"
	}
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v p99 %v max %v (%d)", round(q.p50), round(q.p99), round(q.max), q.count)
}
