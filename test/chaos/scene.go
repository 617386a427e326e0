package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/chaos/internal/users"
)

// scene is one run: the system, its load, and for how long.
type scene struct {
	rig      rig.Config
	duration time.Duration
	rate     int
	// every is the least time between two faults.
	every time.Duration
	// faults are those whose name it matches.
	faults *regexp.Regexp
	// soon is how far ahead most tasks are due, at most.
	soon time.Duration
	// dir is the folder of the run, or empty for one under runs/.
	dir string
	// deletes is how many tasks of a hundred are deleted, retried how many may
	// be attempted three times, keyed how many have an idempotency key.
	deletes, retried, keyed, slow int
	// stay is how many of a hundred are due after the run.
	stay int
	// edge: all tasks are due just beyond the horizon.
	edge bool
	// quiet: the run does not end with a restart of Redis.
	quiet bool
	// linger is how long after the last fault nobody looks.
	linger time.Duration
	// instant: all tasks are due within one second, after the last was created.
	instant bool
	// patience is how long what is due may take to end after the faults.
	patience time.Duration
	// load is how long the load itself may take to work off, beyond what the
	// faults may: as long as that lasts, tasks are overdue.
	load time.Duration
}

// noFault injects nothing.
func noFault(ctx context.Context, _ *rig.Rig) error {
	<-ctx.Done()
	return nil
}

func defaults() scene {
	return scene{
		rig: rig.Defaults(), duration: time.Minute, rate: 300, every: 5 * time.Second, soon: 3 * time.Second,
		deletes: 10, retried: 10, keyed: 50, slow: 10, stay: 1,
		patience: 40 * time.Second, faults: regexp.MustCompile(""),
	}
}

// parseScene reads the flags that all commands which run a system have in
// common.
func parseScene(name string, args []string, more ...func(*flag.FlagSet)) (scene, error) {
	s := defaults()
	flags := flag.NewFlagSet("chaos "+name, flag.ContinueOnError)
	flags.Uint64Var(&s.rig.Seed, "seed", rand.Uint64N(1_000_000), "of every choice that the run makes")
	flags.DurationVar(&s.duration, "duration", s.duration, "how long tasks are created and faults are made")
	flags.IntVar(&s.rate, "rate", s.rate, "tasks created a second")
	flags.DurationVar(&s.every, "every", s.every, "least time between two faults; at most twice of it")
	flags.IntVar(&s.rig.APIs, "apis", s.rig.APIs, "API processes")
	flags.IntVar(&s.rig.Workers, "workers", s.rig.Workers, "worker processes")
	flags.IntVar(&s.rig.Concurrency, "concurrency", s.rig.Concurrency, "slots of a worker")
	flags.DurationVar(&s.rig.Lease, "lease", s.rig.Lease, "of a worker's session; at least 3s")
	flags.DurationVar(&s.rig.Horizon, "horizon", s.rig.Horizon, "of the due index; at least 1m")
	flags.DurationVar(&s.rig.RedisAhead, "redis-ahead", 0, "how far the clock is ahead that the scripts read")
	flags.DurationVar(&s.rig.ClockOff, "clock-off", 0, "how far the wall clock of every second API is off")
	flags.IntVar(&s.rig.Disk, "disk", 0, "MiB of a disk for Postgres alone, which is filled at times; needs the right to mount")
	flags.DurationVar(&s.rig.Outage, "outage", s.rig.Outage, "how long Postgres is away at most, when it is stopped or paused for long; at least 6s")
	flags.Func("faults", "those whose name this regular expression matches (default all)", func(text string) (err error) {
		s.faults, err = regexp.Compile(text)
		return err
	})
	flags.StringVar(&s.rig.Redis, "redis", s.rig.Redis, "how Redis runs: single, sentinel or cluster")
	flags.IntVar(&s.rig.Types, "types", s.rig.Types, "types that the tasks have, in turn")
	flags.StringVar(&s.dir, "dir", "", "folder of the run (default runs/<time>-<seed>)")
	for _, add := range more {
		add(flags)
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return s, nil
}

// open makes the folder of the run and notes what it is.
func (s scene) open(ctx context.Context) (*history.Recorder, error) {
	root, err := rig.Root(ctx)
	if err != nil {
		return nil, err
	}
	if s.dir == "" {
		s.dir = filepath.Join(root, "runs", fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405"), s.rig.Seed))
	}
	record, err := history.NewRecorder(s.dir)
	if err != nil {
		return nil, err
	}
	err = record.Save(history.ConfigFile, map[string]any{
		"seed": s.rig.Seed, "commit": rig.Commit(ctx, root), "started": time.Now().UTC(),
		"duration": s.duration.String(), "rate": s.rate, "every": s.every.String(), "system": s.rig,
	})
	if err != nil {
		return nil, errors.Join(err, record.Close())
	}
	return record, nil
}

// users are what the scene's load does with this system.
func (s scene) users(r *rig.Rig) users.Options {
	o := users.Options{
		Rate: s.rate, Soon: s.soon, Ahead: 3 * s.rig.Horizon, Stay: s.stay, Beyond: 30 * time.Second,
		Deletes: s.deletes, Gets: 10, Retried: s.retried, Slow: s.slow, Keyed: s.keyed, URL: r.Witness.Webhook, Body: r.Body,
	}
	for _, t := range r.Types {
		o.Types = append(o.Types, t.Name)
	}
	if s.instant {
		o.Instant = time.Now().Add(s.duration + 3*time.Second)
	}
	if s.edge {
		o.Stay, o.Beyond, o.From, o.Soon = 0, 0, s.rig.Horizon, 4*time.Second
	}
	for _, n := range r.Nodes {
		if n.Serves() {
			o.APIs = append(o.APIs, n.Addr)
		}
	}
	return o
}
