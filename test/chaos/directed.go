package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/failpoint"
	"github.com/timewheel/timewheel/test/testkit/proxy"
)

const (
	// directedLimit ends a situation that does not come to its number.
	directedLimit = 30 * time.Minute
	// flushallLimit is how long the repair of Redis may take.
	flushallLimit = 10 * time.Second
)

// situation is one that is made on purpose, as often as its number says.
type situation struct {
	name, about string
	// flag is what sets the number, which is number by default.
	flag   string
	number int
	usage  string
	// defaults are other defaults of the common flags.
	defaults []string
	prepare  func(s *scene, number int)
	// inject is nil where the load is all that happens.
	inject func(ctx context.Context, r *rig.Rig, number int, out io.Writer) error
}

var situations = []situation{
	{
		name: "points", about: "kill a process again and again at each crash point",
		flag: "hits", number: 200, usage: "kills at each point",
		prepare: func(s *scene, _ int) { s.duration, s.load.Soon = directedLimit, time.Second }, inject: killAtPoints,
	},
	{
		name: "unknown", about: "cut the reply of each kind of commit, many times",
		flag: "commits", number: 1000, usage: "statements that lose their reply, of all kinds together",
		prepare: func(s *scene, _ int) { s.duration, s.load.Deletes = directedLimit, 30 }, inject: cutReplies,
	},
	{
		name: "deletes", about: "delete tasks at the very instant they are due",
		flag: "races", number: 10_000, usage: "tasks that are deleted as they fall due",
		prepare: func(s *scene, races int) {
			s.load.Deletes, s.load.Retried, s.load.Stay, s.load.Soon = 100, 0, 0, time.Second
			s.duration = time.Duration(races) * time.Second / time.Duration(s.load.Rate)
		},
	},
	{
		name: "death", about: "how long it takes until a dead worker's tasks are settled",
		flag: "times", number: 5, usage: "workers that die, one after the other", defaults: []string{"--lease", "15s"},
		prepare: func(s *scene, _ int) { s.duration, s.load.Slow = directedLimit, 50 }, inject: killWorkers,
	},
	{
		name: "flushall", about: "how long it takes to repair Redis after FLUSHALL",
		flag: "tasks", number: 100_000, usage: "inside the horizon", defaults: []string{"--horizon", "1h"},
		prepare: func(s *scene, _ int) { s.bare = true }, inject: flushAll,
	},
	{
		name: "burst", about: "many tasks due in one second, and more load than can be taken",
		flag: "tasks", number: 50_000, usage: "that are created, all due in one second",
		prepare: func(s *scene, tasks int) {
			s.load.Rate = max(s.load.Rate, 2000)
			s.duration = time.Duration(tasks) * time.Second / time.Duration(s.load.Rate)
			s.load.Instant, s.load.Deletes, s.load.Slow, s.load.Retried, s.load.Watched, s.load.Walks = true, 0, 0, 0, 0, false
			s.linger = 6 * time.Second // the tasks must have fallen due
			s.rig.Concurrency, s.work, s.patience = 500, 2*time.Minute, 2*time.Minute
		},
	},
}

func (d situation) command(ctx context.Context, args []string, out io.Writer) error {
	number := 0
	s, err := parseScene(d.name, append(d.defaults, args...), func(f *flag.FlagSet) {
		f.IntVar(&number, d.flag, d.number, d.usage)
	})
	if err != nil {
		return err
	}
	d.prepare(&s, number)
	var inject injection
	if d.inject != nil {
		inject = func(ctx context.Context, r *rig.Rig) error { return d.inject(ctx, r, number, out) }
	}
	return conclude(s.play(ctx, out, inject))
}

// until waits until it is enough.
func until(ctx context.Context, what string, enough func() (bool, error)) error {
	done, err := rig.Wait(ctx, directedLimit, enough)
	if err == nil && !done {
		err = errors.New("it did not come to that")
	}
	if err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

// killAtPoints kills processes at each crash point, so often.
func killAtPoints(ctx context.Context, r *rig.Rig, times int, out io.Writer) error {
	plan := func(point, text string) (err error) {
		for _, n := range r.Passing(point) {
			err = errors.Join(err, n.Plan(text))
		}
		return err
	}
	for _, point := range failpoint.Points() {
		err := plan(point, point+"=kill:0.1")
		if err == nil {
			err = until(ctx, fmt.Sprintf("%s has killed %d times", point, times), func() (bool, error) {
				hits, err := r.Hits(point)
				return hits >= times, err
			})
		}
		if err = errors.Join(err, plan(point, "")); err != nil {
			return err
		}
		fmt.Fprintf(out, "%d kills at %s\n", times, point)
	}
	return nil
}

// cutReplies cuts the replies of commits, of all kinds together so many.
func cutReplies(ctx context.Context, r *rig.Rig, commits int, out io.Writer) error {
	moments := []proxy.Moment{proxy.While, proxy.After}
	parts := len(proxy.Kinds()) * len(moments)
	each := (commits + parts - 1) / parts
	for _, kind := range proxy.Kinds() {
		for _, moment := range moments {
			goal := r.PostgresProxy.CutOff(kind) + each
			r.PostgresProxy.Rules(proxy.Rule{Kind: kind, Chance: 0.25, Moment: moment})
			err := until(ctx, kind+" has lost its replies", func() (bool, error) { return r.PostgresProxy.CutOff(kind) >= goal, nil })
			if err != nil {
				return err
			}
		}
		r.PostgresProxy.Rules()
		fmt.Fprintf(out, "%d commits of %s lost their reply\n", r.PostgresProxy.CutOff(kind), kind)
	}
	return nil
}

// killWorkers measures how long it takes from the death of a worker until nothing that
// it had is open.
func killWorkers(ctx context.Context, r *rig.Rig, times int, out io.Writer) error {
	for i := range times {
		n, running := r.Workers[i%len(r.Workers)], 0
		pid := strconv.Itoa(n.PID())
		comesTo := func(enough func() bool) error {
			return until(ctx, "a worker runs so many tasks", func() (bool, error) {
				err := r.DB.QueryRow(ctx, `
					SELECT count(*) FROM tasks WHERE status = 'started_executing'
					AND worker_id IN (SELECT id FROM workers WHERE host LIKE '%/' || $1::text)`, pid).Scan(&running)
				return enough(), err
			})
		}
		err := comesTo(func() bool { return running >= 5 })
		if err == nil {
			err = n.Signal(syscall.SIGKILL)
		}
		start, tasks := time.Now(), 0
		if err == nil {
			err = comesTo(func() bool { tasks = max(tasks, running); return running == 0 })
		}
		if err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Fprintf(out, "death %d: %d running tasks settled after %.2f s\n", i+1, tasks, took.Seconds())
		if limit := r.Config.Lease + rig.Grace + 1500*time.Millisecond; took > limit {
			return fmt.Errorf("the death of a worker was settled after %s, later than %s", took, limit)
		}
	}
	return nil
}

// flushAll measures how long Redis is incomplete after FLUSHALL.
func flushAll(ctx context.Context, r *rig.Rig, tasks int, out io.Writer) error {
	_, err := r.DB.Exec(ctx, `
		INSERT INTO tasks (id, task_type, execution_time, due_at)
		SELECT gen_random_uuid(), 'baz', due, due
		FROM (SELECT clock_timestamp() + interval '10 minutes' + n * interval '20 milliseconds' AS due
		      FROM generate_series(1, $1::int) n) drafts`, tasks)
	if err != nil {
		return fmt.Errorf("create %d tasks: %w", tasks, err)
	}
	for range 3 {
		if err := r.Command(ctx, "FLUSHALL"); err != nil {
			return fmt.Errorf("flush redis: %w", err)
		}
		start := time.Now()
		err := until(ctx, "redis is repaired", func() (bool, error) {
			n, err := r.Ring.ZCard(ctx, "timewheel:{baz}:due").Result()
			return n >= int64(tasks), err
		})
		if err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Fprintf(out, "%d tasks were indexed again %.2f s after FLUSHALL\n", tasks, took.Seconds())
		if took > flushallLimit {
			return fmt.Errorf("repairing Redis took %s, more than %s", took, flushallLimit)
		}
	}
	return nil
}
