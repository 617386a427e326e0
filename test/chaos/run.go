package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/check"
	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/chaos/internal/users"
)

// settleSlack is what the system may take beyond a lease and its grace until
// everything is as it should be.
const settleSlack = 5 * time.Second

func runCommand(ctx context.Context, args []string, out io.Writer) error {
	s, err := parseScene("run", args)
	if err != nil {
		return err
	}
	verdict, err := s.play(ctx, out, func(ctx context.Context, r *rig.Rig) error {
		return fault.Schedule(ctx, r, s.rig.Seed, s.every, s.faults)
	})
	return conclude(verdict, err)
}

// play runs the system under load while inject injects faults, lets it come to rest,
// and judges the history. The load ends when its time is over or inject returns,
// and inject ends with its context.
func (s scene) play(
	ctx context.Context, out io.Writer, inject func(context.Context, *rig.Rig) error,
) (verdict *check.Verdict, err error) {
	record, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	say(out, "seed %d, history in %s", s.rig.Seed, record.Dir)
	r, err := rig.New(ctx, s.rig, record)
	if err != nil {
		return nil, errors.Join(err, record.Close())
	}
	err = s.perform(ctx, r, out, inject)
	if err = errors.Join(err, r.Close(), record.Close()); err != nil {
		return nil, err
	}
	return judge(record.Dir, out)
}

func (s scene) perform(ctx context.Context, r *rig.Rig, out io.Writer, inject func(context.Context, *rig.Rig) error) error {
	if err := r.Vitals(ctx, "before"); err != nil {
		return err
	}
	clients, err := users.New(s.users(r), s.rig.Seed, r.Record)
	if err != nil {
		return err
	}
	defer clients.Close()
	injecting, stop := context.WithCancel(ctx)
	defer stop()
	injected := make(chan error, 1)
	go func() {
		injected <- inject(injecting, r)
		stop()
	}()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		progress(injecting, r, clients, out)
	}()
	clients.Run(injecting, s.duration)
	stop()
	<-watching
	if err := <-injected; err != nil {
		return err
	}
	clients.Close() // idle connections are nothing that the system leaked
	return s.rest(ctx, r)
}

// rest ends all faults, waits until what is due has ended, and looks whether
// the stores agree.
func (s scene) rest(ctx context.Context, r *rig.Rig) error {
	// The last fault is always this one: in Redis, what is not due yet is only
	// promised to be complete after an audit, and a restart is followed by one.
	last := fault.Fault{Name: "redis restarts empty", Inject: fault.RestartRedisEmpty}
	if r.Redis == nil {
		last = fault.Fault{Name: "redis flushall", Inject: fault.FlushAll}
	}
	rng := rand.New(rand.NewPCG(s.rig.Seed, 3))
	if !s.quiet {
		if err := fault.Do(ctx, r, rng, last); err != nil {
			return err
		}
	}
	time.Sleep(s.linger)
	for _, n := range r.Nodes {
		if err := n.Plan(""); err != nil {
			return err
		}
	}
	settled, err := r.Converge(ctx, s.rig.Lease+rig.Grace+settleSlack+s.load)
	if err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	open, err := r.Drained(patience)
	if err != nil {
		return err
	}
	if open > 0 {
		settled.Wrong = append(settled.Wrong, fmt.Sprintf("%d tasks that are due are still open after %s more", open, s.patience))
	}
	if err := r.Record.Save(history.SettledFile, settled); err != nil {
		return err
	}
	if err := r.Ready(ctx); err != nil {
		return err
	}
	return errors.Join(r.Vitals(ctx, "after"), r.Dump(ctx))
}

func progress(ctx context.Context, r *rig.Rig, clients *users.Clients, out io.Writer) {
	start := time.Now()
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			say(out, "%4.0fs  created %d  unknown %d  refused %d  deleted %d  executed %d", time.Since(start).Seconds(),
				clients.Acknowledged.Load(), clients.Unknown.Load(), clients.Refused.Load()+clients.Failed.Load(),
				clients.Deleted.Load(), r.Witness.Total())
		}
	}
}

func say(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, format+"\n", args...)
}
