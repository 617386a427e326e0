package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// outages are times without Postgres that are longer than a lease, and what others
// do to its rows.
func outages() []Fault {
	return []Fault{
		{Name: "postgres is stopped for long", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			if err := r.Postgres.Stop(); err != nil {
				return err
			}
			some(ctx, rng, 5*time.Second, r.Config.Outage)
			return r.Postgres.Start(ctx)
		}},
		{Name: "postgres is paused", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			resume, err := r.Postgres.Pause()
			if err != nil {
				return err
			}
			some(ctx, rng, 5*time.Second, r.Config.Outage)
			return resume()
		}},
		{Name: "postgres takes reads only", Inject: demote},
		{Name: "somebody locks a row", Inject: lockRow},
		{Name: "somebody holds an old snapshot", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			tx, err := r.DB.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
			if err != nil {
				return fmt.Errorf("take a snapshot: %w", err)
			}
			_, err = tx.Exec(ctx, `SELECT count(*) FROM (SELECT FROM tasks LIMIT 1) one`)
			some(ctx, rng, 5*time.Second, 15*time.Second)
			return errors.Join(err, tx.Rollback(ctx))
		}},
		{Name: "poison bodies", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return bodies(ctx, r, rng, rig.PoisonBodies)
		}},
		{Name: "large bodies", Inject: func(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
			return bodies(ctx, r, rng, rig.LargeBodies)
		}},
	}
}

// bodies gives the tasks that are created for a while bodies of a kind.
func bodies(ctx context.Context, r *rig.Rig, rng *rand.Rand, kind int32) error {
	r.Bodies.Store(kind)
	some(ctx, rng, time.Second, 4*time.Second)
	r.Bodies.Store(rig.SmallBodies)
	return nil
}

// demote lets Postgres take reads only for a while, as a standby does.
func demote(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	conn, err := pgx.Connect(ctx, r.Postgres.URL())
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", err)
	}
	defer conn.Close(ctx)
	set := func(statements ...string) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	}
	err = set("SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	some(ctx, rng, time.Second, 6*time.Second)
	return errors.Join(err, set("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"))
}

// lockRow holds the lock on a task that is about to start or runs.
func lockRow(ctx context.Context, r *rig.Rig, rng *rand.Rand) error {
	tx, err := r.DB.Begin(ctx)
	if err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	_, err = tx.Exec(ctx, `
		SELECT FROM tasks WHERE outcome = 'open' AND due_at < now() + interval '1 s'
		ORDER BY due_at DESC LIMIT 1 FOR UPDATE SKIP LOCKED`)
	some(ctx, rng, 2*time.Second, 8*time.Second)
	return errors.Join(err, tx.Rollback(ctx))
}
