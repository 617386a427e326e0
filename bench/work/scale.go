// Package work is what is measured, defined alike for all systems, and the
// order in which it is.
package work

import "time"

// Scale is how much of everything a run does.
type Scale struct {
	// Create is how long tasks are created, after a warm-up of a tenth of it, by
	// Clients one by one and by BulkClients with Bulk tasks a call.
	Create               time.Duration
	Clients, BulkClients []int
	Bulk                 int
	// Execute are the numbers of due tasks that are executed.
	Execute []int
	// Rates are uniform arrivals a second, over Span; Live is the rate of the
	// creates that go on while their tasks run; Burst is due at one instant, and
	// Lead the least time that there is for putting tasks in.
	Rates       []int
	Burst, Live int
	Span, Lead  time.Duration
	// Rest is how long a system at rest is watched, after Calm, with Ahead tasks
	// to come.
	Rest, Calm time.Duration
	Ahead      int
	// Rows is how many tasks are stored when each question is put Asks times.
	Rows, Asks int
	// Growth are the numbers of stored rows that everything is tried at, with
	// GrowthExecute tasks to execute each time.
	Growth        []int
	GrowthExecute int
	// Workers are the numbers of worker processes, Idle is how many have no work.
	Workers []int
	Idle    int
	// SweepExecute and SweepSpan are the work that settings are tried with. The
	// span is longer than twice the longest interval at which a rival looks for
	// what is due, or the luck of its phase would decide.
	SweepExecute int
	SweepSpan    time.Duration
}

// QuickSections are those of a quick run.
const QuickSections = "abcdef"

// The scales: the run whose figures are kept, a look within three minutes, and
// a test that everything still works.
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
