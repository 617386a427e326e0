// Package systems holds the systems that are compared, each behind the same
// small set of verbs: how a client creates tasks, what its store says of them,
// and which process works them off.
package systems

import (
	"context"
	"errors"
	"time"

	"github.com/timewheel/timewheel/bench/rig"
)

// System is one contender.
type System struct {
	Name string
	// WorkerRole is the role in which this program is the system's worker.
	WorkerRole string
	// Migrate makes the system's schema, if it has one.
	Migrate func(ctx context.Context, databaseURL string) error
	// Connect opens a client on the rig's stores, which are fresh.
	Connect func(ctx context.Context, r *rig.Rig) (Client, error)
	// ForRate and ForTime are the documented settings of a worker that may make
	// it execute more tasks a second, and start them nearer to their time. The
	// first of each is what the other measurements take if nothing was swept.
	ForRate, ForTime []Setting
	// AtRest is the setting for a worker without work.
	AtRest Setting
}

// Setting is one way to configure a worker: variables of its environment.
type Setting struct {
	Label string
	Env   map[string]string
}

// Client is a system as its users see it, for one measurement.
type Client interface {
	// Nodes are the processes beside the workers that the system needs.
	Nodes() []*rig.Process
	// Submitter opens the way by which one of many clients creates tasks.
	Submitter(ctx context.Context) (Submitter, error)
	// Bulks are the ways to create many tasks in one call.
	Bulks() []Bulk
	// Preload puts tasks in by the fastest way there is, in this order. It is
	// never measured.
	Preload(ctx context.Context, due []time.Time) error
	// Warm waits until the workers' background loops are at work too.
	Warm(ctx context.Context) error
	// Idle says whether the store has no task left that is due.
	Idle(ctx context.Context) (bool, error)
	// Finished is how many tasks have been executed, as the store has it.
	Finished(ctx context.Context) (int, error)
	// History stores n tasks that need no work now, of four types and, where
	// the system keeps ended tasks, of four statuses.
	History(ctx context.Context, n int) error
	// Queries are what can be asked about the tasks of History.
	Queries(ctx context.Context) ([]Query, error)
	// Bytes is what Postgres holds of the tasks, indexes included.
	Bytes(ctx context.Context) (float64, error)
	// Close ends what Connect started.
	Close() error
}

// Submitter creates tasks one by one. It is for one goroutine.
type Submitter interface {
	Create(ctx context.Context, due time.Time) error
	Close() error
}

// Bulk is one way to create many tasks in one call, safe for many goroutines.
type Bulk struct {
	Name   string
	Create func(ctx context.Context, due []time.Time) error
}

// Query is one thing to ask; i varies what is asked for.
type Query struct {
	Name string
	Ask  func(ctx context.Context, i int) error
}

// The questions that are put to all systems, where they have an answer.
const (
	AskAll    = "page, no filter"
	AskStatus = "page by status"
	AskType   = "page by type"
	AskBoth   = "page by status and type"
	AskOne    = "one by id"
)

// pageSize is how many tasks a page holds.
const pageSize = 50

// errNothingFound says that a question was answered with nothing, which would
// make its time worthless.
var errNothingFound = errors.New("the answer is empty")

// All lists the systems; timewheel comes first.
func All() []System { return []System{timewheel(), asynqSystem(), riverSystem()} }

// noop is the type of the tasks that do nothing. Its name is one of those that
// timewheel's API knows, so that the API can be the real one; the handler under
// it is the bench's own.
const noop = "baz"

// typeNames are the types of History.
var typeNames = []string{noop, "foo", "bar", "webhook"}

// chunks calls f with parts of due of at most size, in order.
func chunks(due []time.Time, size int, f func([]time.Time) error) error {
	for len(due) > 0 {
		n := min(size, len(due))
		if err := f(due[:n]); err != nil {
			return err
		}
		due = due[n:]
	}
	return nil
}
