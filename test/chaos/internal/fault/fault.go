// Package fault is what is done to a running system, each fault with what
// undoes it, and the seeded schedule of them.
package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/proxy"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// Fault is one way to disturb the system. What the system makes of it afterwards is not
// waited for.
type Fault struct {
	Name string
	Do   Step
	// Undo takes back what Do did, between Min and Max later, or one to four seconds if
	// they are not set. Nil: there is nothing to undo.
	Undo     Step
	Min, Max time.Duration
}

// Step is half of a fault. It may choose by the target's chance, and nothing else, so
// that a seed repeats a run.
type Step func(ctx context.Context, t *Target) error

// Target is the system that a fault is done to, and what its two halves share.
type Target struct {
	*rig.Rig
	Chance *rand.Rand
	// API and Worker are nodes that chance chose.
	API, Worker *rig.Node
	// Type is a type of the load that chance chose, as it is when nothing is changed.
	Type client.Type

	tx     pgx.Tx      // held open between the halves
	crowd  []*pgx.Conn // as above
	master *stores.Redis
	resume func() error // lets a store go on that was paused
}

// All are the faults that can be done to a system of this kind.
func All(c rig.Config) []Fault {
	all := slices.Concat(
		processes(c), failpoints(c), redisFaults(), postgresFaults(c), historyFaults(c), userFaults(),
		networkFaults("postgres", 100*time.Millisecond, func(t *Target) *proxy.Proxy { return &t.PostgresProxy.Proxy }),
	)
	if c.Redis != rig.Single {
		return append(all, fleetFaults(c)...)
	}
	return slices.Concat(all, singleRedisFaults(),
		networkFaults("redis", 200*time.Millisecond, func(t *Target) *proxy.Proxy { return &t.RedisProxy.Proxy }))
}

// Named is the fault of that name, which must exist.
func Named(c rig.Config, name string) Fault {
	all := All(c)
	return all[slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })]
}

// Schedule disturbs the system at a pace of every to twice every from one
// fault's beginning to that of the next, until ctx ends. One that takes longer
// is followed at once.
// Each round takes all chosen faults in a new order, so that a long run meets each of
// them about as often.
func Schedule(ctx context.Context, r *rig.Rig, every time.Duration, chosen *regexp.Regexp) error {
	rng := rand.New(rand.NewPCG(r.Config.Seed, 2))
	faults := slices.DeleteFunc(All(r.Config), func(f Fault) bool { return !chosen.MatchString(f.Name) })
	if len(faults) == 0 {
		return fmt.Errorf("no fault that this system can have matches %s", chosen)
	}
	last := time.Now() // when the last fault began
	for {
		rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			last = last.Add(every + time.Duration(rng.Int64N(int64(every))))
			if !rig.Pause(ctx, time.Until(last)) {
				return nil
			}
			last = time.Now()
			if err := f.Strike(ctx, r, rng); err != nil {
				return err
			}
		}
	}
}

// Strike disturbs the system once, and writes it down. It is carried through although
// ctx may end meanwhile. One that cannot be done ends the run, so it is not undone.
func (f Fault) Strike(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	r.Record.Event(history.Fault, f.Name, "")
	t := &Target{
		Rig: r, Chance: rng, API: r.APIs[rng.IntN(len(r.APIs))], Worker: r.Workers[rng.IntN(len(r.Workers))],
		Type: r.Types[rng.IntN(len(r.Types))],
	}
	if f.Max == 0 {
		f.Min, f.Max = time.Second, 4*time.Second
	}
	err := f.Do(ctx, t)
	if err == nil && f.Undo != nil {
		t.pause(ctx, f.Min, f.Max)
		err = f.Undo(ctx, t)
	}
	if err != nil {
		return fmt.Errorf("fault %s: %w", f.Name, err)
	}
	r.Record.Event(history.FaultOver, f.Name, "")
	return nil
}

// pause waits between low and high.
func (t *Target) pause(ctx context.Context, low, high time.Duration) {
	rig.Pause(ctx, low+time.Duration(t.Chance.Int64N(int64(high-low)+1)))
}

// set is a step that cannot fail.
func set(do func(t *Target)) Step {
	return func(_ context.Context, t *Target) error {
		do(t)
		return nil
	}
}

// networkFaults are those of the way to a store.
func networkFaults(store string, delay time.Duration, way func(*Target) *proxy.Proxy) []Fault {
	answer := func(after time.Duration) Step { return set(func(t *Target) { way(t).Delay(after) }) }
	stall := func(on bool) Step { return set(func(t *Target) { way(t).Stall(on) }) }
	refuse := func(on bool) Step { return set(func(t *Target) { way(t).Refuse(on) }) }
	return []Fault{
		{Name: store + " is slow", Do: answer(delay), Undo: answer(0)},
		{Name: store + " does not answer", Do: stall(true), Undo: stall(false)},
		{Name: store + " refuses connections", Do: refuse(true), Undo: refuse(false)},
	}
}
