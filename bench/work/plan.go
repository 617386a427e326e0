package work

import (
	"context"
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
	run           func(ctx context.Context, s env) error
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
	add := func(section, name string, run func(context.Context, env) error) *measurement {
		all = append(all, measurement{section: section, name: name, run: run})
		return &all[len(all)-1]
	}
	scale := b.Scale
	for _, n := range scale.Clients {
		add(report.Create, plural(n, "client"), func(ctx context.Context, s env) error { return s.createOneByOne(ctx, n) })
	}
	for _, n := range scale.BulkClients {
		name := count(scale.Bulk) + " a call, " + plural(n, "client")
		add(report.Bulk, name, func(ctx context.Context, s env) error { return s.createInBulk(ctx, n, 0) })
		second := func(ctx context.Context, s env) error { return s.createInBulk(ctx, n, 1) }
		add(report.Bulk, name+", by InsertMany", second).only = "River"
	}
	for _, n := range scale.Execute {
		add(report.Execute, count(n)+" in due order", func(ctx context.Context, s env) error { return s.execute(ctx, n, 1, false) })
		shuffled := func(ctx context.Context, s env) error { return s.execute(ctx, n, 1, true) }
		add(report.Execute, count(n)+" in random order", shuffled).not = "asynq" // The ids of its tasks are random as it is.
	}
	for _, rate := range scale.Rates {
		add(report.Lateness, count(rate)+"/s", func(ctx context.Context, s env) error { return s.uniform(ctx, rate, scale.Span) })
	}
	add(report.Lateness, "burst of "+count(scale.Burst), func(ctx context.Context, s env) error { return s.planned(ctx, scale.Burst, 0) })
	add(report.Lateness, count(scale.Live)+"/s created a second ahead", live)
	add(report.Rest, count(scale.Ahead)+" tasks within the hour", atRest)
	// The rivals make no difference between near and far.
	add(report.Rest, count(scale.Ahead)+" tasks beyond the horizon", farAhead).only = "timewheel"
	add(report.Read, count(scale.Rows)+" rows", read)
	for _, n := range scale.Growth {
		m := add(report.Growth, count(n)+" rows stored", func(ctx context.Context, s env) error { return s.growth(ctx, n) })
		if n > mostForRedis {
			m.not = "asynq"
			b.results.Note("asynq holds all of its tasks in memory and is not tried with more than " + count(mostForRedis) + ".")
		}
	}
	for _, n := range scale.Workers {
		name := plural(n, "worker") + ", " + count(scale.Execute[0]) + " tasks"
		add(report.Workers, name, func(ctx context.Context, s env) error { return s.execute(ctx, scale.Execute[0], n, false) })
	}
	add(report.Workers, plural(scale.Idle, "idle worker"), idle)
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
