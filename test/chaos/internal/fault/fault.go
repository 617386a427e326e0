// Package fault is what is done to a running system, each fault with what
// undoes it, and the seeded schedule of them.
package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// Fault is one way to inject the system. It returns when the inject is over; what
// the system makes of it afterwards is not waited for.
type Fault struct {
	Name string
	// Inject may choose by rng, and nothing else, so that a seed repeats a run.
	Inject func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error
	// Needs is false where the rig has not what it takes. Nil: always.
	Needs func(r *rig.Rig) bool
}

// All are the faults, in the order of their names' first letters: processes,
// Redis, Postgres, the type of the load.
func All() []Fault {
	var all []Fault
	all = append(all, processes()...)
	all = append(all, failpoints()...)
	all = append(all, redisFaults()...)
	all = append(all, postgresFaults()...)
	all = append(all, typeFaults()...)
	return append(all, outages()...)
}

// Schedule injected the system at a pace of every to twice every from one
// fault's beginning to that of the next, until ctx ends. One that takes longer
// is followed at once.
// Each round takes all faults in a new order, so that a long run meets each of
// them about as often.
func Schedule(ctx context.Context, r *rig.Rig, seed uint64, every time.Duration) error {
	rng := rand.New(rand.NewPCG(seed, 2))
	faults := All()
	last := time.Now() // when the last fault began
	for {
		rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range faults {
			if f.Needs != nil && !f.Needs(r) {
				continue
			}
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

// Do injected the system once, and writes it down. It is carried through although
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
