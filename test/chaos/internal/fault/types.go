package fault

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// typeFaults are what users do to a type of the load. A pause and a limit hold from the
// answer until the request that takes them back.
func typeFaults() []Fault {
	return []Fault{
		{Name: "a type is paused", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			t := r.Types[rng.IntN(len(r.Types))]
			paused := t
			paused.Paused = true
			return whileType(ctx, r, rng, t, paused, history.Paused, "")
		}},
		{Name: "a type is limited", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			t := r.Types[rng.IntN(len(r.Types))]
			limited := t
			limited.MaxRunning = 2 + rng.IntN(5)
			return whileType(ctx, r, rng, t, limited, history.Limited, strconv.Itoa(limited.MaxRunning))
		}},
		{Name: "a type has a rate", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			t := r.Types[rng.IntN(len(r.Types))]
			slow := t
			slow.Rate = &client.Rate{PerSecond: 100, Burst: 1 + rng.IntN(10)}
			return whileType(ctx, r, rng, t, slow, "type has a rate", "")
		}},
	}
}

// whileType changes a type for one to four seconds.
func whileType(ctx context.Context, r *rig.Rig, rng *rand.Rand, t, changed client.Type, event, detail string) error {
	if err := r.PutType(ctx, changed); err != nil {
		return err
	}
	r.Record.Event(event, t.Name, detail)
	some(ctx, rng, time.Second, 4*time.Second)
	r.Record.Event(history.Freed, t.Name, "")
	return r.PutType(ctx, t)
}
