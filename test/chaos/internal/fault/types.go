package fault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// loadType is the task type of the load.
const loadType = "webhook"

// typeFaults are what users do to the type of the load. A pause and a limit hold from the
// answer until the request that takes them back.
func typeFaults() []Fault {
	return []Fault{
		{Name: "the type is paused", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return whileType(ctx, r, rng, client.Type{Name: loadType, Paused: true}, history.Paused, "")
		}},
		{Name: "the type is limited", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			limited := client.Type{Name: loadType, MaxRunning: 2 + rng.IntN(5)}
			return whileType(ctx, r, rng, limited, history.Limited, strconv.Itoa(limited.MaxRunning))
		}},
	}
}

// whileType changes the type for one to four seconds.
func whileType(ctx context.Context, r *rig.Rig, rng *rand.Rand, t client.Type, event, detail string) error {
	if err := PutType(ctx, r, rng, t); err != nil {
		return err
	}
	r.Record.Event(event, loadType, detail)
	some(ctx, rng, time.Second, 4*time.Second)
	r.Record.Event(history.Freed, loadType, "")
	return PutType(ctx, r, rng, client.Type{Name: loadType})
}

// PutType changes a type, by any API that answers. It is not over before one has.
func PutType(ctx context.Context, r *rig.Rig, rng *rand.Rand, t client.Type) error {
	for {
		api, err := client.New("http://" + anyNode(r, rng, true).Addr)
		if err != nil {
			return err
		}
		_, err = api.PutType(ctx, t)
		api.CloseIdleConnections()
		if err == nil {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("change the type: %w", err)
		}
	}
}
