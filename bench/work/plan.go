// Package work is what is measured, defined alike for all systems, and the order in which
// it is.
package work

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/timewheel/timewheel/bench/report"
)

// Scale is how much of everything a run does.
type Scale struct {
	// Create is how long tasks are created, after a warm-up of a tenth of it, by Clients
	// one by one and by BulkClients with Bulk tasks a call.
	Create               time.Duration
	Clients, BulkClients []int
	Bulk                 int
	// Execute are the numbers of due tasks that are executed.
	Execute []int
	// Rates are uniform arrivals a second, over Span; Live is the rate of the creates that
	// go on while their tasks run; Burst is due at one instant, and Lead the least time
	// that there is for putting tasks in.
	Rates       []int
	Burst, Live int
	Span, Lead  time.Duration
	// Rest is how long a system at rest is watched, after Calm, with Ahead tasks to come.
	Rest, Calm time.Duration
	Ahead      int
	// Rows is how many tasks are stored when each question is put Asks times.
	Rows, Asks int
	// Growth are the numbers of stored rows that everything is tried at, with GrowthExecute
	// tasks to execute each time.
	Growth        []int
	GrowthExecute int
	// Workers are the numbers of worker processes, Idle is how many have no work.
	Workers []int
	Idle    int
	// SweepExecute and SweepSpan are the work that settings are tried with. The span is
	// longer than twice the longest interval at which a rival looks for what is due, or the
	// luck of its phase would decide.
	SweepExecute int
	SweepSpan    time.Duration
}

// QuickSections are those of a quick run.
const QuickSections = "abcdef"

// The scales: the run whose figures are kept, a look within three minutes, and a test that
// everything still works.
var (
	Normal = Scale{
		Create: 5 * time.Second, Clients: []int{1, 16, 64}, BulkClients: []int{1, 4}, Bulk: 1000, Execute: []int{100_000},
		Rates: []int{500, 2000}, Span: 20 * time.Second, Burst: 10_000, Live: 500, Lead: 3 * time.Second,
		Rest: 30 * time.Second, Calm: 3 * time.Second, Ahead: 100_000, Rows: 1_000_000, Asks: 500,
		Growth: []int{10_000, 100_000, 1_000_000}, GrowthExecute: 20_000, Workers: []int{1, 2, 4}, Idle: 20,
		SweepExecute: 20_000, SweepSpan: 12 * time.Second,
	}
	Quick = Scale{
		Create: time.Second, Clients: []int{1, 64}, BulkClients: []int{4}, Bulk: 1000, Execute: []int{20_000},
		Rates: []int{500}, Span: 3 * time.Second, Burst: 2000, Live: 200, Lead: 2 * time.Second,
		Rest: 5 * time.Second, Calm: time.Second, Ahead: 20_000, Rows: 20_000, Asks: 100,
		Growth: []int{10_000}, GrowthExecute: 5000, Workers: []int{1}, Idle: 5,
		SweepExecute: 5000, SweepSpan: 2 * time.Second,
	}
	Smoke = Scale{
		Create: 300 * time.Millisecond, Clients: []int{2}, BulkClients: []int{1}, Bulk: 50, Execute: []int{300},
		Rates: []int{100}, Span: 500 * time.Millisecond, Burst: 100, Live: 50, Lead: time.Second,
		Rest: 200 * time.Millisecond, Ahead: 300, Rows: 400, Asks: 4,
		Growth: []int{400}, GrowthExecute: 100, Workers: []int{2}, Idle: 2,
		SweepExecute: 100, SweepSpan: 200 * time.Millisecond,
	}
)

// mostForRedis is how many tasks are stored in a system that keeps all of them in memory.
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

// plan lists the measurements of the sections that are asked for, in their order.
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
