// Command chaos runs the system against faults, writes down what everybody saw,
// and checks that every task ran only once: never early, never twice, never
// after a delete, and none lost in silence.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/bugs"
	"github.com/timewheel/timewheel/test/chaos/internal/check"
	"github.com/timewheel/timewheel/test/chaos/internal/fault"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/judge"
)

type command struct {
	name, about string
	run         func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	all := []command{
		{"run", "random faults by a seeded schedule, under load", runCommand},
		{"check", "judge a recorded run again: go tool chaos check runs/<folder>", checkCommand},
		{"bugs", "build in seeded bugs one by one, and see which checker finds each", bugsCommand},
	}
	for _, s := range situations {
		all = append(all, command{s.name, s.about, s.command})
	}
	return all
}

// errBroken says that the verdict is bad. It was printed before.
var errBroken = errors.New("a promise was broken")

func main() { os.Exit(chaos(os.Args[1:], os.Stdout, os.Stderr)) }

func chaos(args []string, stdout, stderr io.Writer) int {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return len(args) > 0 && c.name == args[0] })
	if i < 0 {
		fmt.Fprint(stderr, "Usage: go tool chaos <command> [flags]\n\n")
		for _, c := range all {
			fmt.Fprintf(stderr, "  %-9s %s\n", c.name, c.about)
		}
		fmt.Fprint(stderr, "\nEach command has --help. A run leaves its history in a folder of its own under\n"+
			"runs/, and ends with status 1 if a promise was broken.\n")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := all[i].run(ctx, args[1:], stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case !errors.Is(err, errBroken):
		fmt.Fprintln(stderr, "chaos:", err)
	}
	return 1
}

func runCommand(ctx context.Context, args []string, out io.Writer) error {
	var retention time.Duration
	s, err := parseScene("run", args, func(f *flag.FlagSet) {
		f.DurationVar(&retention, "retention", 0, "how long ended tasks are kept (default longer than any run)")
	})
	if err != nil {
		return err
	}
	s.rig.Retention = retention
	return conclude(s.play(ctx, out, func(ctx context.Context, r *rig.Rig) error {
		return fault.Schedule(ctx, r, s.every, s.faults)
	}))
}

func checkCommand(_ context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos check", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("check takes the folder of one run")
	}
	return conclude(verdict(flags.Arg(0), out))
}

// verdict reads the history in dir, runs every checker and prints what they found.
func verdict(dir string, out io.Writer) (*judge.Verdict, error) {
	h, err := check.Load(dir)
	if err != nil {
		return nil, err
	}
	v := check.All(h)
	v.Print(out, check.Names()...)
	return v, nil
}

// conclude makes a bad verdict an error.
func conclude(v *judge.Verdict, err error) error {
	if err == nil && len(v.Found) > 0 {
		return errBroken
	}
	return err
}

func bugsCommand(ctx context.Context, args []string, out io.Writer) error {
	only, clean := "", false
	s, err := parseScene("bugs", args, func(f *flag.FlagSet) {
		f.StringVar(&only, "only", "", "the bugs whose name this regular expression matches")
		f.BoolVar(&clean, "clean", false, "the same situations without the bugs: nothing may be found")
	})
	if err != nil {
		return err
	}
	chosen, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("read --only: %w", err)
	}
	wrong := false
	for _, bug := range bugs.All {
		if !chosen.MatchString(bug.Name) {
			continue
		}
		start := time.Now()
		found, err := look(ctx, s, bug, clean)
		if err != nil {
			return fmt.Errorf("look for the bug %q: %w", bug.Name, err)
		}
		text, expected := strings.Join(found, ", "), !clean && bug.Harmless == ""
		switch {
		case len(found) > 0 && !expected:
			text += " WITHOUT A REASON"
		case len(found) == 0 && expected:
			text = "NOT FOUND"
		case len(found) == 0 && clean:
			text = "nothing, as it should be"
		case len(found) == 0:
			text = "nothing: " + bug.Harmless
		}
		wrong = wrong || expected != (len(found) > 0)
		fmt.Fprintf(out, "| %s | %s | %.0f |\n", bug.Name, text, time.Since(start).Seconds())
	}
	if wrong {
		return errBroken
	}
	return nil
}

// look runs the situation that a bug is about for a while, and returns which checkers
// found something. A system that the bug keeps from running at all is an error.
func look(ctx context.Context, s scene, bug bugs.Bug, clean bool) (found []string, err error) {
	s.rig.Workers, s.rig.APIs, s.rig.Types, s.rig.Retention = 3, 2, max(1, bug.Types), bug.Retention
	s.load = bug.Load
	s.load.Rate, s.load.Soon = 150, max(time.Second, bug.Load.Soon)
	s.duration, s.quiet, s.linger, s.dir = 15*time.Second, bug.Quiet, bug.Linger, ""
	if bug.Ahead {
		s.rig.RedisAhead = time.Hour
	}
	if !clean {
		if s.rig.Bug, err = bug.Patch(); err != nil {
			return nil, err
		}
	}
	v, err := s.play(ctx, io.Discard, bug.Inject)
	if err != nil {
		return nil, err
	}
	if v.Counts["rows"] == 0 {
		return nil, errors.New("nothing was created at all")
	}
	for _, checker := range v.Broken() {
		found = append(found, fmt.Sprintf("%s (%d)", checker, len(v.Found[checker])))
	}
	return found, nil
}
