package work

import (
	"fmt"
	"slices"
	"strings"

	"github.com/timewheel/timewheel/bench/report"
)

// mostForRedis is how many tasks are stored in a system that keeps all of them
// in memory.
const mostForRedis = 1_000_000

type env = *environment

// measurement is one kind of work in one size.
type measurement struct {
	section, name string
	run           func(env)
	// only and not are the name of the one system that takes part, or does not.
	only, not string
}

func (m measurement) concerns(system string) bool {
	return (m.only == "" || m.only == system) && m.not != system
}

// plan lists the measurements of the sections that are asked for, in their
// order.
func (b *bench) plan() []measurement {
	var all []measurement
	add := func(section, name string, run func(env)) *measurement {
		all = append(all, measurement{section: section, name: name, run: run})
		return &all[len(all)-1]
	}
	scale := b.Scale
	for _, n := range scale.Clients {
		add(report.Create, plural(n, "client"), func(s env) { s.createOneByOne(n) })
	}
	for _, n := range scale.BulkClients {
		name := count(scale.Bulk) + " a call, " + plural(n, "client")
		add(report.Bulk, name, func(s env) { s.createInBulk(n, 0) })
		add(report.Bulk, name+", by InsertMany", func(s env) { s.createInBulk(n, 1) }).only = "River"
	}
	for _, n := range scale.Execute {
		add(report.Execute, count(n)+" in due order", func(s env) { s.execute(n, 1, false) })
		// The ids of asynq's tasks are random as it is.
		add(report.Execute, count(n)+" in random order", func(s env) { s.execute(n, 1, true) }).not = "asynq"
	}
	for _, rate := range scale.Rates {
		add(report.Lateness, count(rate)+"/s", func(s env) { s.uniform(rate, scale.Span) })
	}
	add(report.Lateness, "burst of "+count(scale.Burst), func(s env) { s.planned(scale.Burst, 0) })
	add(report.Lateness, count(scale.Live)+"/s created a second ahead", env.live)
	add(report.Rest, count(scale.Ahead)+" tasks within the hour", env.atRest)
	// The rivals make no difference between near and far.
	add(report.Rest, count(scale.Ahead)+" tasks beyond the horizon", env.farAhead).only = "timewheel"
	add(report.Read, count(scale.Rows)+" rows", env.read)
	for _, n := range scale.Growth {
		m := add(report.Growth, count(n)+" rows stored", func(s env) { s.growth(n) })
		if n > mostForRedis {
			m.not = "asynq"
			b.results.Note("asynq holds all of its tasks in memory and is not tried with more than " + count(mostForRedis) + ".")
		}
	}
	for _, n := range scale.Workers {
		name := plural(n, "worker") + ", " + count(scale.Execute[0]) + " tasks"
		add(report.Workers, name, func(s env) { s.execute(scale.Execute[0], n, false) })
	}
	add(report.Workers, plural(scale.Idle, "idle worker"), env.idle)
	return slices.DeleteFunc(all, func(m measurement) bool {
		return b.Sections != "" && !strings.Contains(b.Sections, m.section[:1])
	})
}

// count writes a number for people.
func count(n int) string { return report.Number(float64(n)) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
