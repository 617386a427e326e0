package fault

import (
	"context"
	"errors"
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

// change changes a type, and notes it once that was answered.
func change(event string, how func(t *Target, changed *client.Type) (detail string)) Step {
	return func(ctx context.Context, t *Target) error {
		changed := t.Type
		detail := how(t, &changed)
		if err := t.PutType(ctx, changed); err != nil {
			return err
		}
		t.Record.Event(event, t.Type.Name, detail)
		return nil
	}
}

func changeBack(ctx context.Context, t *Target) error {
	t.Record.Event(history.Freed, t.Type.Name, "")
	return t.PutType(ctx, t.Type)
}

// userFaults are what users do: to a type of the load, and by what their tasks carry. A
// pause and a limit hold from the answer until the request that takes them back.
func userFaults() []Fault {
	bodies := func(kind int32) Step { return set(func(t *Target) { t.Bodies.Store(kind) }) }
	return []Fault{
		{Name: "a type is paused", Undo: changeBack, Do: change(history.Paused, func(_ *Target, changed *client.Type) string {
			changed.Paused = true
			return ""
		})},
		{Name: "a type is limited", Undo: changeBack, Do: change(history.Limited, func(t *Target, changed *client.Type) string {
			changed.MaxRunning = 2 + t.Chance.IntN(5)
			return strconv.Itoa(changed.MaxRunning)
		})},
		{Name: "a type has a rate", Undo: changeBack, Do: change("type has a rate", func(t *Target, changed *client.Type) string {
			changed.Rate = &client.Rate{PerSecond: 100, Burst: 1 + t.Chance.IntN(10)}
			return ""
		})},
		{Name: "poison bodies", Do: bodies(rig.PoisonBodies), Undo: bodies(rig.SmallBodies)},
		{Name: "large bodies", Do: bodies(rig.LargeBodies), Undo: bodies(rig.SmallBodies)},
	}
}
