package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/failpoint"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

// directedLimit ends a directed suite that does not come to its number.
const directedLimit = 30 * time.Minute

// pointsCommand kills processes at each crash point, so often as it is told.
func pointsCommand(ctx context.Context, args []string, out io.Writer) error {
	hits := 0
	s, err := parseScene("points", args, func(f *flag.FlagSet) {
		f.IntVar(&hits, "hits", 200, "kills at each point")
	})
	if err != nil {
		return err
	}
	s.duration, s.soon = directedLimit, time.Second
	return conclude(s.play(ctx, out, func(ctx context.Context, r *rig.Rig) error {
		for _, point := range failpoint.Points() {
			if err := strike(ctx, r, point, hits); err != nil {
				return err
			}
			say(out, "%d kills at %s", hits, point)
		}
		return nil
	}))
}

// strike kills at one point until that has happened often enough.
func strike(ctx context.Context, r *rig.Rig, point string, hits int) error {
	plan := func(text string) error {
		for _, n := range r.Nodes {
			if n.Serves() == (point == failpoint.Inserted) {
				if err := n.Plan(text); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := plan(point + "=kill:0.1"); err != nil {
		return err
	}
	for {
		n, err := r.Hits(point)
		if err != nil {
			return err
		}
		if n >= hits {
			return plan("")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill at %s: %d of %d times: %w", point, n, hits, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unknownCommand cuts the replies of commits, so often as it is told.
func unknownCommand(ctx context.Context, args []string, out io.Writer) error {
	commits := 0
	s, err := parseScene("unknown", args, func(f *flag.FlagSet) {
		f.IntVar(&commits, "commits", 1000, "statements that lose their reply, of all kinds together")
	})
	if err != nil {
		return err
	}
	s.duration, s.deletes = directedLimit, 30
	return conclude(s.play(ctx, out, func(ctx context.Context, r *rig.Rig) error {
		moments := []proxy.Moment{proxy.While, proxy.After}
		parts := len(proxy.Kinds()) * len(moments)
		each := (commits + parts - 1) / parts
		for _, kind := range proxy.Kinds() {
			for _, moment := range moments {
				before := r.PostgresProxy.CutOff(kind)
				r.PostgresProxy.Rules(proxy.Rule{Kind: kind, Chance: 0.25, Moment: moment})
				for r.PostgresProxy.CutOff(kind) < before+each {
					select {
					case <-ctx.Done():
						return fmt.Errorf("cut replies of %s: %w", kind, ctx.Err())
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
			r.PostgresProxy.Rules()
			say(out, "%d commits of %s lost their reply", r.PostgresProxy.CutOff(kind), kind)
		}
		return nil
	}))
}

// deletesCommand deletes every task at the instant when it is due.
func deletesCommand(ctx context.Context, args []string, out io.Writer) error {
	races := 0
	s, err := parseScene("deletes", args, func(f *flag.FlagSet) {
		f.IntVar(&races, "races", 10000, "tasks that are deleted as they fall due")
	})
	if err != nil {
		return err
	}
	s.deletes, s.retried, s.stay, s.soon = 100, 0, 0, time.Second
	s.duration = time.Duration(races) * time.Second / time.Duration(s.rate)
	return conclude(s.play(ctx, out, noFault))
}

// burstCommand lets many tasks fall due in one second, and may send more
// requests than the APIs take.
func burstCommand(ctx context.Context, args []string, out io.Writer) error {
	tasks, inFlight := 0, 0
	s, err := parseScene("burst", args, func(f *flag.FlagSet) {
		f.IntVar(&tasks, "tasks", 50000, "that are created, all due in one second")
		f.IntVar(&inFlight, "in-flight", 0, "requests that an API takes at once; few make it refuse most (default that of the API)")
	})
	if err != nil {
		return err
	}
	s.rate = max(s.rate, 2000)
	s.duration = time.Duration(tasks) * time.Second / time.Duration(s.rate)
	s.rig.MaxInFlight = inFlight
	s.instant, s.deletes, s.slow, s.retried = true, 0, 0, 0
	s.linger = 6 * time.Second // the tasks must have fallen due
	s.rig.Concurrency, s.load, s.patience = 500, 2*time.Minute, 2*time.Minute
	return conclude(s.play(ctx, out, noFault))
}
