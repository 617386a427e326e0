package bugs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

type injection = func(ctx context.Context, r *rig.Rig) error

// every calls once at a pace until ctx ends.
func every(ctx context.Context, pace time.Duration, once func() error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
		if err := once(); err != nil {
			return err
		}
	}
}

// strays makes due in Redis what has started or ended already.
func strays(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 200*time.Millisecond, func() error {
		rows, err := r.DB.Query(context.WithoutCancel(ctx), `SELECT id FROM tasks WHERE status <> 'submitted' ORDER BY id DESC LIMIT 20`)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(ids) == 0 {
			return err
		}
		members := make([]string, len(ids))
		for i, id := range ids {
			members[i] = id.String()
		}
		return fault.Strays(context.WithoutCancel(ctx), r, members)
	})
}

// cut makes statements of a kind lose their replies.
func cut(kind string, chance float64, moment proxy.Moment) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		r.PostgresProxy.Rules(proxy.Rule{Kind: kind, Chance: chance, Moment: moment})
		<-ctx.Done()
		r.PostgresProxy.Rules()
		return nil
	}
}

func workers(r *rig.Rig) (nodes []*rig.Node) {
	for _, n := range r.Nodes {
		if !n.Serves() {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func killWorkers(ctx context.Context, r *rig.Rig) error {
	return every(ctx, time.Second, func() error {
		nodes := workers(r)
		return nodes[rand.IntN(len(nodes))].Signal(syscall.SIGKILL)
	})
}

func killAPIs(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 300*time.Millisecond, func() error {
		nodes := r.Nodes[:r.Config.APIs]
		return nodes[rand.IntN(len(nodes))].Signal(syscall.SIGKILL)
	})
}

// killAPIsThatWait kills APIs while most of their creates do not get through to
// Postgres and are tried again.
func killAPIsThatWait(ctx context.Context, r *rig.Rig) error {
	r.PostgresProxy.Rules(proxy.Rule{Kind: "T0", Chance: 0.7, Moment: proxy.Before})
	defer r.PostgresProxy.Rules()
	return killAPIs(ctx, r)
}

func killAPIsBeforeIndex(ctx context.Context, r *rig.Rig) error {
	for _, n := range r.Nodes[:r.Config.APIs] {
		if err := n.Plan("inserted=kill:0.05"); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// stopPastLease stops workers at a point until their sessions are dead for
// certain, and lets them go on.
func stopPastLease(point string) injection {
	return stopUntil(point, func(_ context.Context, r *rig.Rig) error {
		time.Sleep(r.Config.Lease + rig.Grace + 2*time.Second)
		return nil
	})
}

// wakeZombies stops workers at a point, and lets them go on just when others
// have begun to carry on with what they had.
func wakeZombies(point string) injection {
	return stopUntil(point, func(ctx context.Context, r *rig.Rig) error {
		var before int
		const count = `SELECT count(*) FROM workers WHERE dead_at IS NOT NULL`
		if err := r.DB.QueryRow(ctx, count).Scan(&before); err != nil {
			return err
		}
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			var now int
			if err := r.DB.QueryRow(ctx, count).Scan(&now); err != nil {
				return err
			}
			if now > before {
				return carriedOn(ctx, r)
			}
		}
		return errors.New("the session of a stopped worker was not found dead within 10 s")
	})
}

// carriedOn waits a moment for second attempts to run of what the dead session had, where
// there are any. They come after their backoff, 0.8 s at least.
func carriedOn(ctx context.Context, r *rig.Rig) error {
	for range 200 {
		var again int
		err := r.DB.QueryRow(ctx, `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'started_executing' AND attempt > 1
			AND started_at > (SELECT max(dead_at) + interval '900 ms' FROM workers)`).Scan(&again)
		if err != nil || again > 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func stopUntil(point string, wait injection) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		nodes := workers(r)
		for i := 0; ctx.Err() == nil; i++ {
			n := nodes[i%len(nodes)]
			if err := n.Plan(point + "=pause:@5"); err != nil {
				return err
			}
			for !n.Paused() && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			err := wait(context.WithoutCancel(ctx), r)
			if err = errors.Join(err, wake(context.WithoutCancel(ctx), r, n), n.Plan("")); err != nil {
				return fmt.Errorf("stop %s at %s: %w", n.Name, point, err)
			}
		}
		return nil
	}
}

// wake lets a stopped worker go on while no session can be renewed for a moment. Else the
// worker may learn that its session is dead before it sends what it was stopped with, and
// the guard is never asked.
func wake(ctx context.Context, r *rig.Rig, n *rig.Node) error {
	return pgx.BeginFunc(ctx, r.DB, func(tx pgx.Tx) error {
		// A renewal writes to this table; a start only locks a row of it, and an end does
		// neither.
		_, err := tx.Exec(ctx, `LOCK TABLE workers IN SHARE MODE`)
		err = errors.Join(err, n.Signal(syscall.SIGCONT))
		time.Sleep(500 * time.Millisecond)
		return err
	})
}

// slowCommits keeps inserts from committing for three seconds at a time, after
// they noted when the task was created.
func slowCommits(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 500*time.Millisecond, func() error {
		ctx := context.WithoutCancel(ctx)
		return pgx.BeginFunc(ctx, r.DB, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `LOCK TABLE audit IN EXCLUSIVE MODE`); err != nil {
				return err
			}
			time.Sleep(3 * time.Second)
			return nil
		})
	})
}

// rudeWitness breaks connections after the effect.
func rudeWitness(ctx context.Context, r *rig.Rig) error {
	r.Witness.Rude(100)
	<-ctx.Done()
	r.Witness.Rude(0)
	return nil
}

// pauseOften pauses the type of the load and frees it again, over and over.
func pauseOften(ctx context.Context, r *rig.Rig) error {
	return typeOften(ctx, r, "the type is paused")
}

// limitOften limits it, while Redis hopes for much more room than there is, and starts take
// seconds to commit: what keeps the limit then is Postgres alone.
func limitOften(ctx context.Context, r *rig.Rig) error {
	var beside errgroup.Group
	beside.Go(func() error {
		return every(ctx, 20*time.Millisecond, func() error {
			return r.Ring.HSet(context.WithoutCancel(ctx), "timewheel:{webhook}:limits", "room", 1000).Err()
		})
	})
	beside.Go(func() error { return slowCommits(ctx, r) })
	return errors.Join(typeOften(ctx, r, "the type is limited"), beside.Wait())
}

func typeOften(ctx context.Context, r *rig.Rig, name string) error {
	rng := rand.New(rand.NewPCG(r.Config.Seed, 5))
	for _, f := range fault.All() {
		if f.Name == name {
			return every(ctx, 200*time.Millisecond, func() error { return fault.Do(ctx, r, rng, f) })
		}
	}
	return fmt.Errorf("there is no fault %q", name)
}
