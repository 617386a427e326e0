package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// fleetFaults are what befalls Redis where more servers than one make it up.
func fleetFaults() []Fault {
	return []Fault{
		{Name: "a redis master dies", Needs: fleet, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			master, err := anyMaster(ctx, r, rng)
			if err != nil {
				return err
			}
			if err := master.Kill(); err != nil {
				return err
			}
			some(ctx, rng, time.Second, 6*time.Second)
			return errors.Join(master.Start(ctx), awaitMasters(ctx, r))
		}},
		{Name: "a redis master stands still", Needs: fleet, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			master, err := anyMaster(ctx, r, rng)
			if err != nil {
				return err
			}
			resume, err := master.Pause()
			if err != nil {
				return err
			}
			some(ctx, rng, time.Second, 6*time.Second)
			return errors.Join(resume(), awaitMasters(ctx, r))
		}},
		{Name: "a redis master is replaced", Needs: fleet, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			master, err := anyMaster(ctx, r, rng)
			if err != nil {
				return err
			}
			return errors.Join(replace(ctx, r, master), awaitMasters(ctx, r))
		}},
		{Name: "a slot moves", Needs: func(r *rig.Rig) bool { return r.Cluster != nil }, Inject: moveSlot},
	}
}

func single(r *rig.Rig) bool { return r.Redis != nil }
func fleet(r *rig.Rig) bool  { return r.Redis == nil }

// anyMaster chooses a server that has keys of its own.
func anyMaster(ctx context.Context, r *rig.Rig, rng *rand.Rand) (*stores.Redis, error) {
	if r.Sentinel != nil {
		return r.Sentinel.Master(ctx)
	}
	masters, err := r.Cluster.Masters(ctx)
	if err != nil {
		return nil, err
	}
	if len(masters) == 0 {
		return nil, errors.New("no master is left in the cluster")
	}
	return masters[rng.IntN(len(masters))], nil
}

// replace makes a replica the master, as an operator does before he restarts that one. A
// replica that has just come is not fit for it at once.
func replace(ctx context.Context, r *rig.Rig, master *stores.Redis) error {
	if r.Cluster != nil {
		return until(ctx, func() error { return r.Cluster.Failover(ctx, master) })
	}
	if err := until(ctx, func() error { return r.Sentinel.Failover(ctx) }); err != nil {
		return err
	}
	return until(ctx, func() error {
		now, err := r.Sentinel.Master(ctx)
		if err == nil && now == master {
			err = errors.New("the sentinels name the old master")
		}
		return err
	})
}

// awaitMasters waits until each master has a replica that has all of its data, so that one
// fault has ended when the next begins.
func awaitMasters(ctx context.Context, r *rig.Rig) error {
	return until(ctx, func() error { return r.Whole(ctx) })
}

// until tries again until it goes well, for a minute.
func until(ctx context.Context, once func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := once()
		if err == nil || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// moveSlot moves the ring of a type of the load to another master, and stands still for a
// while when half of it is there.
func moveSlot(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	t := r.Types[rng.IntN(len(r.Types))]
	return r.Cluster.MoveSlot(ctx, "timewheel:{"+t.Name+"}:due", func() { some(ctx, rng, time.Second, 4*time.Second) })
}
