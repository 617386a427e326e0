package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/failpoint"
)

func anAPI(t *Target) *rig.Node   { return t.API }
func aWorker(t *Target) *rig.Node { return t.Worker }

func signal(who func(*Target) *rig.Node, sig syscall.Signal) Step {
	return func(_ context.Context, t *Target) error { return who(t).Signal(sig) }
}

func processes(c rig.Config) []Fault {
	halt, carryOn := signal(aWorker, syscall.SIGSTOP), signal(aWorker, syscall.SIGCONT)
	return []Fault{
		{Name: "kill a worker", Do: signal(aWorker, syscall.SIGKILL)},
		{Name: "kill an api", Do: signal(anAPI, syscall.SIGKILL)},
		{Name: "stop a worker in order", Do: signal(aWorker, syscall.SIGTERM)},
		{Name: "stop an api in order", Do: signal(anAPI, syscall.SIGTERM)},
		{Name: "kill all workers", Do: func(_ context.Context, t *Target) (err error) {
			for _, n := range t.Workers {
				err = errors.Join(err, n.Signal(syscall.SIGKILL))
			}
			return err
		}},
		{Name: "stop a worker past its lease", Do: halt, Undo: carryOn, Min: c.PastLease(), Max: c.PastLease()},
		{Name: "stop a worker for a moment", Do: halt, Undo: carryOn, Min: 100 * time.Millisecond, Max: c.Lease},
	}
}

// failpoints make a node kill or stop itself at each of the named points, and
// handlers misbehave.
func failpoints(c rig.Config) (all []Fault) {
	for _, point := range failpoint.Points() {
		who := aWorker
		if point == failpoint.Inserted {
			who = anAPI
		}
		all = append(all, Fault{Name: "kill at " + point, Do: func(ctx context.Context, t *Target) error {
			pid := who(t).PID()
			return at(ctx, who(t), point+"=kill:@1", func() bool { return who(t).PID() != pid })
		}}, Fault{
			Name: "pause at " + point,
			Do: func(ctx context.Context, t *Target) error {
				return at(ctx, who(t), point+"=pause:@1", who(t).Paused)
			},
			Undo: signal(who, syscall.SIGCONT), Min: c.PastLease(), Max: c.PastLease(),
		})
	}
	for _, action := range []string{"panic:0.05", "goexit:0.05", "hang:4s:0.01", "exit:0.002"} {
		plan := func(text string) Step {
			return func(_ context.Context, t *Target) error { return t.Worker.Plan(text) }
		}
		all = append(all, Fault{
			Name: "poison " + action, Do: plan(failpoint.Handling + "=" + action), Undo: plan(""),
			Min: 3 * time.Second, Max: 3 * time.Second,
		})
	}
	return all
}

// at sets a plan, waits until it has struck or a while has passed, and takes it
// back.
func at(ctx context.Context, n *rig.Node, plan string, struck func() bool) error {
	if err := n.Plan(plan); err != nil {
		return err
	}
	_, err := rig.Wait(ctx, 5*time.Second, func() (bool, error) { return struck(), nil })
	return errors.Join(err, n.Plan(""))
}

// redis carries out one command.
func redis(command ...any) Step {
	return func(ctx context.Context, t *Target) error { return t.Ring.Do(ctx, command...).Err() }
}

func startRedis(ctx context.Context, t *Target) error { return t.Redis.Start(ctx) }
func killRedis(_ context.Context, t *Target) error    { return t.Redis.Kill() }

func redisFaults() []Fault {
	return []Fault{
		{Name: "redis restarts empty", Do: killRedis, Undo: startRedis, Min: 100 * time.Millisecond, Max: 2 * time.Second},
		{Name: "redis flushall", Do: redis("FLUSHALL")},
		{Name: "redis loses a key", Do: func(ctx context.Context, t *Target) error {
			keys, err := t.Ring.Keys(ctx, "timewheel:{*").Result()
			if err != nil || len(keys) == 0 {
				return err
			}
			slices.Sort(keys)
			return t.Ring.Del(ctx, keys[t.Chance.IntN(len(keys))]).Err()
		}},
		// As a replica does that lagged behind and was promoted.
		{Name: "redis comes back with old data", Do: redis("SAVE"), Undo: restoreOld},
		// A replica of nobody refuses writes and serves what it has.
		{Name: "redis is readonly", Do: redis("REPLICAOF", "127.0.0.1", "1"), Undo: redis("REPLICAOF", "NO", "ONE")},
		{Name: "redis is out of memory", Do: redis("CONFIG", "SET", "maxmemory", "1mb"), Undo: redis("CONFIG", "SET", "maxmemory", "0")},
		{Name: "redis forgets its scripts", Do: redis("SCRIPT", "FLUSH")},
		{
			Name: "replies of claims are lost",
			Do:   set(func(t *Target) { t.RedisProxy.LoseClaims(10) }),
			Undo: set(func(t *Target) { t.RedisProxy.LoseClaims(0) }),
		},
	}
}

// restoreOld kills Redis and starts it on what was saved.
func restoreOld(ctx context.Context, t *Target) error {
	if err := t.Redis.Kill(); err != nil {
		return err
	}
	if err := t.Redis.Start(ctx); err != nil {
		return err
	}
	dir, err := t.Ring.ConfigGet(ctx, "dir").Result()
	if err != nil {
		return fmt.Errorf("find the dump: %w", err)
	}
	return os.Remove(filepath.Join(dir["dir"], "dump.rdb"))
}

// loadType is the task type of the load.
const loadType = "webhook"

// userFaults are what users do: to the type of the load, and by what their tasks carry. A
// pause and a limit hold from the answer until the request that takes them back.
func userFaults() []Fault {
	bodies := func(kind int32) Step { return set(func(t *Target) { t.Bodies.Store(kind) }) }
	return []Fault{
		{Name: "the type is paused", Undo: freeType, Do: func(ctx context.Context, t *Target) error {
			return t.putType(ctx, client.Type{Name: loadType, Paused: true}, history.Paused, "")
		}},
		{Name: "the type is limited", Undo: freeType, Do: func(ctx context.Context, t *Target) error {
			limit := 2 + t.Chance.IntN(5)
			return t.putType(ctx, client.Type{Name: loadType, MaxRunning: limit}, history.Limited, strconv.Itoa(limit))
		}},
		{Name: "poison bodies", Do: bodies(rig.PoisonBodies), Undo: bodies(rig.SmallBodies)},
		{Name: "large bodies", Do: bodies(rig.LargeBodies), Undo: bodies(rig.SmallBodies)},
	}
}

func freeType(ctx context.Context, t *Target) error {
	t.Record.Event(history.Freed, loadType, "")
	return t.putType(ctx, client.Type{Name: loadType}, "type is free", "")
}

// putType changes a type, by any API that answers, and notes that it is done. It is not
// over before one has answered.
func (t *Target) putType(ctx context.Context, changed client.Type, event, detail string) error {
	for {
		n := t.APIs[t.Chance.IntN(len(t.APIs))]
		api, err := client.New("http://" + n.Addr)
		if err != nil {
			return err
		}
		_, err = api.PutType(ctx, changed)
		api.CloseIdleConnections()
		if err == nil {
			t.Record.Event(event, loadType, detail)
			return nil
		}
		if !rig.Pause(ctx, 100*time.Millisecond) {
			return fmt.Errorf("change the type: %w", err)
		}
	}
}
