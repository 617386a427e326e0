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

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// Fault is one way to disturb the system. It returns when that is over; what
// the system makes of it afterwards is not waited for.
type Fault struct {
	Name string
	// Inject may choose by rng, and nothing else, so that a seed repeats a run.
	Inject func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error
	// Needs is false where the rig has not what it takes. Nil: always.
	Needs func(r *rig.Rig) bool
}

// All are the faults, in the order of their names' first letters: processes,
// Redis, Postgres, the types of the load.
func All() []Fault {
	var all []Fault
	all = append(all, processes()...)
	all = append(all, failpoints()...)
	all = append(all, redisFaults()...)
	all = append(all, fleetFaults()...)
	all = append(all, postgresFaults()...)
	all = append(all, typeFaults()...)
	return append(all, outages()...)
}

// Schedule injects faults at a pace of every to twice every from one
// fault's beginning to that of the next, until ctx ends. One that takes longer
// is followed at once.
// Each round takes all chosen faults in a new order, so that a long run meets each of
// them about as often.
func Schedule(ctx context.Context, r *rig.Rig, seed uint64, every time.Duration, chosen *regexp.Regexp) error {
	rng := rand.New(rand.NewPCG(seed, 2))
	faults := slices.DeleteFunc(All(), func(f Fault) bool {
		return !chosen.MatchString(f.Name) || f.Needs != nil && !f.Needs(r)
	})
	if len(faults) == 0 {
		return fmt.Errorf("no fault that this system can have matches %s", chosen)
	}
	last := time.Now() // when the last fault began
	for {
		rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			last = last.Add(every + time.Duration(rng.Int64N(int64(every))))
			if !pause(ctx, time.Until(last)) {
				return nil
			}
			last = time.Now()
			if err := Do(ctx, r, rng, f); err != nil {
				return err
			}
		}
	}
}

// Do injects a fault once, and writes it down. It is carried through although
// ctx may end meanwhile: a fault is undone in any case.
func Do(ctx context.Context, r *rig.Rig, rng *rand.Rand, f Fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	r.Record.Event("fault", f.Name, "")
	if err := f.Inject(ctx, r, rng); err != nil {
		return fmt.Errorf("fault %s: %w", f.Name, err)
	}
	r.Record.Event("fault over", f.Name, "")
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// some waits between low and high.
func some(ctx context.Context, rng *rand.Rand, low, high time.Duration) {
	pause(ctx, low+time.Duration(rng.Int64N(int64(high-low))))
}

func anyNode(r *rig.Rig, rng *rand.Rand, serves bool) *rig.Node {
	var nodes []*rig.Node
	for _, n := range r.Nodes {
		if n.Serves() == serves {
			nodes = append(nodes, n)
		}
	}
	return nodes[rng.IntN(len(nodes))]
}
