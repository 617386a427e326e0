package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/failpoint"
)

func processes() []Fault {
	signal := func(name string, serves bool, sig syscall.Signal) Fault {
		return Fault{Name: name, Inject: func(_ context.Context, r *rig.Rig, rng *rand.Rand) error {
			return anyNode(r, rng, serves).Signal(sig)
		}}
	}
	return []Fault{
		signal("kill a worker", false, syscall.SIGKILL),
		signal("kill an api", true, syscall.SIGKILL),
		signal("stop a worker in order", false, syscall.SIGTERM),
		signal("stop an api in order", true, syscall.SIGTERM),
		{Name: "kill all workers", Inject: func(_ context.Context, r *rig.Rig, _ *rand.Rand) (err error) {
			for _, n := range r.Nodes {
				if !n.Serves() {
					err = errors.Join(err, n.Signal(syscall.SIGKILL))
				}
			}
			return err
		}},
		{Name: "stop a worker past its lease", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			n := anyNode(r, rng, false)
			if err := n.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			pause(ctx, pastLease(r))
			return n.Signal(syscall.SIGCONT)
		}},
		{Name: "stop a worker for a moment", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			n := anyNode(r, rng, false)
			if err := n.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			some(ctx, rng, 100*time.Millisecond, r.Config.Lease)
			return n.Signal(syscall.SIGCONT)
		}},
	}
}

// pastLease is long enough for a session that is not renewed to be found dead.
func pastLease(r *rig.Rig) time.Duration { return r.Config.Lease + rig.Grace + 2*time.Second }

// failpoints make a node kill or stop itself at each of the named points, and
// handlers misbehave.
func failpoints() []Fault {
	var all []Fault
	for _, point := range failpoint.Points() {
		serves := point == failpoint.Inserted
		all = append(all,
			Fault{Name: "kill at " + point, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
				n := anyNode(r, rng, serves)
				starts := n.Starts()
				return at(ctx, n, point+"=kill:@1", func() bool { return n.Starts() > starts })
			}},
			Fault{Name: "pause at " + point, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
				n := anyNode(r, rng, serves)
				if err := at(ctx, n, point+"=pause:@1", n.Paused); err != nil {
					return err
				}
				pause(ctx, pastLease(r))
				return n.Signal(syscall.SIGCONT)
			}})
	}
	for _, action := range []string{"panic:0.05", "goexit:0.05", "hang:4s:0.01", "exit:0.002"} {
		all = append(all, Fault{Name: "poison " + action, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			n := anyNode(r, rng, false)
			if err := n.Plan(failpoint.Handling + "=" + action); err != nil {
				return err
			}
			pause(ctx, 3*time.Second)
			return n.Plan("")
		}})
	}
	return all
}

// at sets a plan, waits until it has struck or a while has passed, and takes it
// back.
func at(ctx context.Context, n *rig.Node, plan string, struck func() bool) error {
	if err := n.Plan(plan); err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); !struck() && time.Now().Before(deadline); {
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("wait for %s at %s: %w", plan, n.Name, ctx.Err())
		}
	}
	return n.Plan("")
}
