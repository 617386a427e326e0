package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

func postgresFaults() []Fault {
	all := []Fault{
		{Name: "postgres shuts down at once", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			if err := r.Postgres.StopImmediately(); err != nil {
				return err
			}
			some(ctx, rng, 100*time.Millisecond, 3*time.Second)
			return r.Postgres.Start(ctx)
		}},
		{Name: "postgres is killed", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			if err := r.Postgres.Kill(); err != nil {
				return err
			}
			some(ctx, rng, 100*time.Millisecond, 3*time.Second)
			return r.Postgres.Start(ctx)
		}},
		{Name: "postgres ends all backends", Inject: func(ctx context.Context, r *rig.Rig, _ *rand.Rand) error {
			return terminate(ctx, r)
		}},
		{Name: "postgres has too many connections", Inject: crowd},
		{Name: "postgres is slow", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.PostgresProxy.Delay(100 * time.Millisecond); return nil },
				func() error { r.PostgresProxy.Delay(0); return nil })
		}},
		{Name: "postgres does not answer", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.PostgresProxy.Stall(true); return nil },
				func() error { r.PostgresProxy.Stall(false); return nil })
		}},
		{Name: "postgres refuses connections", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return during(ctx, rng, func() error { r.PostgresProxy.Refuse(true); return nil },
				func() error { r.PostgresProxy.Refuse(false); return nil })
		}},
		{Name: "statements wait for a lock and lose their clients", Inject: Park},
		{
			Name:   "postgres' disk is full",
			Needs:  func(r *rig.Rig) bool { return r.Disk != "" },
			Inject: fullDisk,
		},
	}
	for _, kind := range proxy.Kinds() {
		for _, moment := range proxy.Moments() {
			name := "connections break " + string(moment) + " " + kind
			all = append(all, Fault{Name: name, Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
				return during(ctx, rng, func() error {
					r.PostgresProxy.Rules(proxy.Rule{Kind: kind, Chance: 0.3, Moment: moment})
					return nil
				}, func() error { r.PostgresProxy.Rules(); return nil })
			}})
		}
	}
	return all
}

// terminate ends every backend of the system.
func terminate(ctx context.Context, r *rig.Rig) error {
	_, err := r.DB.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'timewheel'`)
	return err
}

// crowd takes every connection that there is, once those of the system were
// cut, so that it cannot come back for a while.
func crowd(ctx context.Context, r *rig.Rig, rng *rand.Rand) (err error) {
	var taken []*pgx.Conn
	defer func() {
		for _, c := range taken {
			err = errors.Join(err, c.Close(ctx))
		}
	}()
	if err := terminate(ctx, r); err != nil {
		return err
	}
	for range 2 * r.Config.MaxConnections {
		c, err := pgx.Connect(ctx, r.Postgres.URL())
		if err == nil {
			taken = append(taken, c)
			continue
		}
		if len(taken) >= r.Config.MaxConnections/2 {
			break // all are taken; some by the system, which came back in between
		}
	}
	some(ctx, rng, time.Second, 4*time.Second)
	return nil
}

// Park makes every statement that writes wait for a lock, cuts the clients of
// those that wait, and then lets them commit, long after their clients began
// to try again.
func Park(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	tx, err := r.DB.Begin(ctx)
	if err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	if _, err := tx.Exec(ctx, `LOCK TABLE tasks IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	for range 2 {
		some(ctx, rng, 200*time.Millisecond, time.Second)
		r.PostgresProxy.Cut()
	}
	some(ctx, rng, 200*time.Millisecond, time.Second)
	return tx.Rollback(ctx)
}

func fullDisk(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	if err := r.FillDisk(); err != nil {
		return err
	}
	some(ctx, rng, 2*time.Second, 5*time.Second)
	if err := r.FreeDisk(); err != nil {
		return err
	}
	// It may have given up: what it cannot log it must not commit.
	select {
	case <-r.Postgres.Done():
		return r.Postgres.Start(ctx)
	case <-time.After(2 * time.Second):
		return nil
	}
}
