// Package bugs holds seeded bugs: each removes one guard of the system, and
// must be found by the checkers. Each is a patch in the folder patches, which is
// applied to one build only, so the code itself knows nothing of it. When the code
// around a guard changes, the patch no longer fits, and a test says so:
//
//	git apply test/chaos/internal/bugs/patches/NAME.patch   # fix by hand what is refused
//	git diff >NAME.patch; git apply -R NAME.patch
package bugs

import (
	"context"
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/chaos/internal/users"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

// Bug is one guard removed.
type Bug struct {
	Name string
	// Inject makes the situation that the guard is for, until ctx ends. Nil: load alone.
	Inject func(ctx context.Context, r *rig.Rig) error
	// Load is the kind of tasks that meet it, due within a second if it does not say.
	Load  users.Load
	Types int  // how many types the tasks have; 0: one
	Ahead bool // Redis' clock is an hour ahead
	// Retention is how long ended tasks are kept; 0: for longer than the run.
	Retention time.Duration
	// Quiet: the run ends without a last restart of Redis, which would repair what the bug
	// breaks.
	Quiet bool
	// Linger is how long after the last fault nobody looks, for what shows only once
	// the wheel has turned.
	Linger time.Duration
	// Harmless says why nothing can be found, for a change that another guard
	// makes up for. Empty: it must be found.
	Harmless string
}

// All are the seeded bugs: those of the system of record and of what speaks with it come
// first, with those of what has ended, then those of the due index, of the loops, and of what goes outside.
var All = []Bug{
	{Name: "T2 without status", Inject: strays, Load: users.Load{Deletes: 30}},
	{Name: "T2 without the clock", Ahead: true},
	{Name: "pause looked at by the worker alone", Inject: often("a type is paused", 200*time.Millisecond), Load: users.Load{Slow: 20}},
	{
		// Redis hopes for much more room than there is, and starts take seconds to commit:
		// what keeps the limit then is Postgres alone.
		Name:   "max running added up before the lock",
		Inject: together(often("a type is limited", 200*time.Millisecond), hopeForRoom, slowCommits), Load: users.Load{Slow: 50},
	},
	{Name: "T2 without the session check", Inject: wakeZombies("claimed", pastLease)},
	{Name: "T2 issued again without its receipt", Inject: cut("T2", 0.3, proxy.After)},
	{Name: "handler run before T2 is confirmed", Inject: cut("T2", 0.5, proxy.Before)},
	{Name: "T3 without worker and attempt", Inject: wakeZombies("ran", carriedOn), Load: users.Load{Retried: 100, Slow: 100}},
	{Name: "T3 without status", Inject: wakeZombies("ran", carriedOn), Load: users.Load{Slow: 50}},
	{Name: "reap without the dead mark", Inject: wakeZombies("started", pastLease), Load: users.Load{Slow: 50}},
	{
		Name:   "reap gives another attempt that nobody allowed",
		Inject: often("kill a worker", time.Second), Load: users.Load{Slow: 50},
	},
	{Name: "delete by check-then-act", Load: users.Load{Deletes: 100, Slow: 50}},
	{Name: "move by check-then-act", Load: users.Load{Moves: 100, Slow: 50}},
	{Name: "not after left to the sweep", Inject: often("postgres is slow", 200*time.Millisecond), Load: users.Load{Expiring: 100}},
	{Name: "cancel forgotten when the attempt ends", Inject: often("kill a worker", time.Second), Load: users.Load{Cancels: 100, Retried: 100}},
	{Name: "cancel marks what runs as ended", Load: users.Load{Cancels: 100}},
	{Name: "expire without status", Load: users.Load{Expiring: 100, Slow: 50}},
	{
		// APIs die while most of their creates do not get through to Postgres and are tried
		// again.
		Name:   "create acknowledged before the commit",
		Inject: together(cut("T0", 0.7, proxy.Before), often("kill an api", 300*time.Millisecond)),
	},
	{Name: "create issued again under a new id", Inject: cut("T0", 0.5, proxy.After)},
	{
		Name:   "unknown outcome reported as nothing changed",
		Inject: cut("T5", 1, proxy.After), Load: users.Load{Deletes: 100, Soon: 3 * time.Second},
	},
	{
		Name:   "end moves the row without its guard",
		Inject: wakeZombies("ran", carriedOn), Load: users.Load{Retried: 100, Slow: 100},
	},
	{Name: "create sees only what had ended before it", Inject: parkCreates, Load: users.Load{Keyed: 30}},
	{Name: "get looks at what has ended first", Load: users.Load{Watched: 5}},
	{
		Name:   "list reads the two places in turn",
		Inject: often("postgres is slow", 200*time.Millisecond), Load: users.Load{Walks: true},
	},
	{
		Name: "drop counts from the beginning of a partition", Retention: 5 * time.Second,
		Load: users.Load{Watched: 5},
	},
	{Name: "release forgets to put back", Ahead: true, Load: users.Load{Stay: 30}},
	{Name: "cascade reports too much as indexed", Load: users.Load{Stay: 50}, Linger: 8 * time.Second},
	{Name: "rebuild knows the shipped types only", Load: users.Load{Stay: 30}, Types: 8},
	{Name: "old keys left behind", Inject: leaveOldKey, Quiet: true, Linger: 20 * time.Second},
	{Name: "create without margin", Inject: slowCommits, Load: users.Load{Edge: true}, Quiet: true},
	{
		Name:   "repair does not look at what is overdue",
		Inject: killBeforeIndex, Load: users.Load{Soon: 3 * time.Second}, Quiet: true,
	},
	{Name: "webhook repeats what was not answered", Inject: rudeWitness},
	{
		Name: "claim without the move", Inject: often("kill a worker", time.Second),
		Harmless: "what nobody holds is overdue a second later, and the repair indexes it again; " +
			"the move to claimed saves that second",
	},
	{Name: "claim leaves the tasks due"},
}

//go:embed patches/*.patch
var patches embed.FS

// Patch is the unified diff that removes the guard.
func (b Bug) Patch() (string, error) {
	file := strings.ReplaceAll(strings.ToLower(b.Name), " ", "-")
	text, err := patches.ReadFile("patches/" + file + ".patch")
	if err != nil {
		return "", fmt.Errorf("read the patch of %q: %w", b.Name, err)
	}
	return string(text), nil
}
