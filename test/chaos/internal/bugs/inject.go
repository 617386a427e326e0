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
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/failpoint"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

type injection = func(ctx context.Context, r *rig.Rig) error

// every calls once at a pace until ctx ends, which does not end a call.
func every(ctx context.Context, pace time.Duration, once func(context.Context) error) error {
	for rig.Pause(ctx, pace) {
		if err := once(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// often strikes with one fault over and over.
func often(name string, pace time.Duration) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		rng := rand.New(rand.NewPCG(r.Config.Seed, 5))
		return every(ctx, pace, func(ctx context.Context) error { return fault.Named(r.Config, name).Strike(ctx, r, rng) })
	}
}

// together makes several injections at once.
func together(all ...injection) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, inject := range all {
			group.Go(func() error { return inject(ctx, r) })
		}
		return group.Wait()
	}
}

// cut makes statements of a kind lose their connections.
func cut(kind string, chance float64, moment proxy.Moment) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		r.PostgresProxy.Rules(proxy.Rule{Kind: kind, Chance: chance, Moment: moment})
		<-ctx.Done()
		r.PostgresProxy.Rules()
		return nil
	}
}

// strays makes due in Redis what has started or ended already.
func strays(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		rows, err := r.DB.Query(ctx, `SELECT id::text FROM tasks WHERE status <> 'submitted' ORDER BY id DESC LIMIT 20`)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(ids) == 0 {
			return err
		}
		members := make([]redis.Z, len(ids))
		for i, id := range ids {
			members[i] = redis.Z{Score: float64(i), Member: id}
		}
		return r.Ring.ZAdd(ctx, "timewheel:{webhook}:due", members...).Err()
	})
}

func killBeforeIndex(ctx context.Context, r *rig.Rig) error {
	for _, n := range r.APIs {
		if err := n.Plan(failpoint.Inserted + "=kill:0.05"); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// wakeZombies stops workers at a point, one after the other, until the world has gone on
// without them, and lets each go on.
func wakeZombies(point string, gone injection) injection {
	return func(ctx context.Context, r *rig.Rig) error {
		for i := 0; ctx.Err() == nil; i++ {
			n := r.Workers[i%len(r.Workers)]
			if err := n.Plan(point + "=pause:@5"); err != nil {
				return err
			}
			paused, err := rig.Wait(ctx, time.Minute, func() (bool, error) { return n.Paused(), nil })
			if err != nil || !paused {
				return errors.Join(err, n.Plan(""))
			}
			asleep := context.WithoutCancel(ctx)
			if err := errors.Join(gone(asleep, r), wake(asleep, r, n), n.Plan("")); err != nil {
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
	// A renewal writes to this table; a start only locks a row of it, and an end does
	// neither.
	return locked(ctx, r, `workers IN SHARE MODE`, 500*time.Millisecond, func() error { return n.Signal(syscall.SIGCONT) })
}

// locked does something as soon as it has locked a table, and holds the lock for a time.
func locked(ctx context.Context, r *rig.Rig, table string, long time.Duration, do func() error) error {
	return pgx.BeginFunc(ctx, r.DB, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `LOCK TABLE `+table)
		err = errors.Join(err, do())
		time.Sleep(long)
		return err
	})
}

// pastLease waits until the session of a stopped worker is dead for certain.
func pastLease(_ context.Context, r *rig.Rig) error {
	time.Sleep(r.Config.PastLease())
	return nil
}

// carriedOn waits until the session of a stopped worker is found dead, and a moment for
// second attempts to run of what it had, where there are any. They come after their
// backoff, 0.8 s at least.
func carriedOn(ctx context.Context, r *rig.Rig) error {
	stopped := time.Now()
	comes := func(limit time.Duration, query string) (bool, error) {
		return rig.Wait(ctx, limit, func() (found bool, err error) {
			err = r.DB.QueryRow(ctx, `SELECT EXISTS (`+query+`)`, stopped).Scan(&found)
			return found, err
		})
	}
	found, err := comes(10*time.Second, `SELECT FROM workers WHERE dead_at > $1`)
	if err == nil && !found {
		err = errors.New("the session of a stopped worker was not found dead within 10 s")
	}
	if err != nil {
		return err
	}
	_, err = comes(2*time.Second, `
		SELECT FROM tasks WHERE outcome = 'open' AND status = 'started_executing' AND attempt > 1
		AND started_at > $1 AND started_at > (SELECT max(dead_at) + interval '900 ms' FROM workers)`)
	return err
}

// leaveOldKey leaves in Redis what a version before rings by type had there.
func leaveOldKey(ctx context.Context, r *rig.Rig) error {
	err := r.Ring.ZAdd(ctx, rig.LegacyKey, redis.Z{Score: 1, Member: uuid.NewString()}).Err()
	<-ctx.Done()
	return err
}

// slowCommits keeps inserts from committing for three seconds at a time, after
// they noted when the task was created.
func slowCommits(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		return locked(ctx, r, `witnessed IN EXCLUSIVE MODE`, 3*time.Second, func() error { return nil })
	})
}

// rudeWitness breaks connections after the effect.
func rudeWitness(ctx context.Context, r *rig.Rig) error {
	r.Witness.Rude.Store(100)
	<-ctx.Done()
	r.Witness.Rude.Store(0)
	return nil
}

// hopeForRoom makes Redis believe that there is room for many tasks of the load's type.
func hopeForRoom(ctx context.Context, r *rig.Rig) error {
	return every(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		return r.Ring.HSet(ctx, "timewheel:{webhook}:limits", "room", 1000).Err()
	})
}
