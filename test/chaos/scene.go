package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/chaos/internal/users"
	"github.com/timewheel/timewheel/test/judge"
)

// settleSlack is what the system may take beyond a lease and its grace until
// everything is as it should be.
const settleSlack = 5 * time.Second

// scene is one run: the system, its load, and for how long.
type scene struct {
	rig      rig.Config
	load     users.Load
	duration time.Duration
	every    time.Duration  // the least time between two faults
	faults   *regexp.Regexp // those whose name it matches
	dir      string         // the folder of the run, or empty for one under runs/
	bare     bool           // nobody uses the system, and nothing is judged
	quiet    bool           // the run does not end with a restart of Redis
	linger   time.Duration  // how long after the last fault nobody looks
	patience time.Duration  // how long what is due may take to end after the faults
	// work is how long the load itself may take to work off, beyond what the
	// faults may: as long as that lasts, tasks are overdue.
	work time.Duration
}

// injection disturbs a system until ctx ends, or until it has done what it is for. Nil: the
// load is all that happens.
type injection = func(ctx context.Context, r *rig.Rig) error

// defaults are a small system whose workers die and are found dead quickly.
func defaults() scene {
	return scene{
		rig: rig.Config{
			APIs: 2, Workers: 4, Concurrency: 100, Lease: 3 * time.Second, Horizon: time.Minute, Outage: 12 * time.Second,
			Redis: rig.Single, Types: 1,
		},
		load:     users.Load{Rate: 300, Soon: 3 * time.Second, Deletes: 10, Retried: 10, Keyed: 50, Slow: 10, Moves: 10, Expiring: 10, Cancels: 10, Stay: 1, Watched: 2, Walks: true},
		duration: time.Minute, every: 5 * time.Second, patience: 40 * time.Second, faults: regexp.MustCompile(""),
	}
}

// parseScene reads the flags that all commands which run a system have in
// common.
func parseScene(name string, args []string, more ...func(*flag.FlagSet)) (scene, error) {
	s := defaults()
	flags := flag.NewFlagSet("chaos "+name, flag.ContinueOnError)
	flags.Uint64Var(&s.rig.Seed, "seed", rand.Uint64N(1_000_000), "of every choice that the run makes")
	flags.DurationVar(&s.duration, "duration", s.duration, "how long tasks are created and faults are made")
	flags.IntVar(&s.load.Rate, "rate", s.load.Rate, "tasks created a second")
	flags.DurationVar(&s.every, "every", s.every, "least time between two faults; at most twice of it")
	flags.IntVar(&s.rig.APIs, "apis", s.rig.APIs, "API processes")
	flags.IntVar(&s.rig.Workers, "workers", s.rig.Workers, "worker processes")
	flags.IntVar(&s.rig.Concurrency, "concurrency", s.rig.Concurrency, "slots of a worker")
	flags.IntVar(&s.rig.MaxInFlight, "in-flight", 0, "requests that an API takes at once; few make it refuse most (default that of the API)")
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

// play runs the system under load while inject injects faults, lets it come to rest,
// and judges the history. The load ends when its time is over or inject returns,
// and inject ends with its context.
func (s scene) play(ctx context.Context, out io.Writer, inject injection) (*judge.Verdict, error) {
	record, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "seed %d, history in %s\n", s.rig.Seed, record.Dir)
	r, err := rig.New(ctx, s.rig, record)
	if err != nil {
		return nil, errors.Join(err, record.Close())
	}
	if s.bare {
		return judge.NewVerdict(), errors.Join(inject(ctx, r), r.Close(), record.Close())
	}
	err = s.perform(ctx, r, out, inject)
	if err = errors.Join(err, r.Close(), record.Close()); err != nil {
		return nil, err
	}
	return verdict(record.Dir, out)
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
	record.Write(history.ConfigFile, map[string]any{
		"commit": rig.Commit(ctx, root), "started": time.Now().UTC(), "duration": s.duration.String(),
		"every": s.every.String(), "load": s.load, "system": s.rig,
	})
	return record, nil
}

func (s scene) perform(ctx context.Context, r *rig.Rig, out io.Writer, inject injection) error {
	if err := r.Vitals(ctx); err != nil {
		return err
	}
	clients, err := users.New(r, s.load)
	if err != nil {
		return err
	}
	injecting, stop := context.WithCancel(ctx)
	defer stop()
	var beside errgroup.Group
	beside.Go(func() error {
		if inject == nil {
			return nil
		}
		defer stop()
		return inject(injecting, r)
	})
	beside.Go(func() error {
		for start := time.Now(); rig.Pause(injecting, 10*time.Second); {
			fmt.Fprintf(out, "%4.0fs  created %d  unknown %d  refused %d  deleted %d  executed %d\n", time.Since(start).Seconds(),
				clients.Acknowledged.Load(), clients.Unknown.Load(), clients.Failed.Load(), clients.Deleted.Load(), r.Witness.Total.Load())
		}
		return nil
	})
	err = clients.Run(injecting, s.duration)
	stop()
	if err = errors.Join(err, beside.Wait()); err != nil {
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
	if !s.quiet {
		last := "redis restarts empty"
		if r.Redis == nil {
			last = "redis flushall"
		}
		if err := fault.Named(s.rig, last).Strike(ctx, r, rand.New(rand.NewPCG(s.rig.Seed, 3))); err != nil {
			return err
		}
	}
	rig.Pause(ctx, s.linger)
	for _, n := range r.Nodes() {
		if err := n.Plan(""); err != nil {
			return err
		}
	}
	r.Record.Write(history.SettledFile, r.Settle(ctx, s.rig.Lease+rig.Grace+settleSlack+s.work, s.patience))
	if err := r.Ready(ctx); err != nil {
		return err
	}
	return errors.Join(r.Vitals(ctx), r.Dump(ctx))
}
