package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/bugs"
)

// bugRun is how long each seeded bug is looked for.
const bugRun = 15 * time.Second

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
		verdict := strings.Join(found, ", ")
		switch missed := len(found) == 0; {
		case missed && clean:
			verdict = "nothing, as it should be"
		case missed && bug.Harmless != "":
			verdict = "nothing: " + bug.Harmless
		case missed:
			verdict, wrong = "NOT FOUND", true
		case clean || bug.Harmless != "":
			verdict, wrong = verdict+" WITHOUT A REASON", true
		}
		say(out, "| %s | %s | %.0f |", bug.Name, verdict, time.Since(start).Seconds())
	}
	if wrong {
		return errBroken
	}
	return nil
}

// look runs the situation that a bug is about and returns which checkers found
// something. A system that the bug keeps from running at all is an error.
func look(ctx context.Context, s scene, bug bugs.Bug, clean bool) (found []string, err error) {
	s.rig.Workers, s.rig.APIs = 3, 2
	s.load = bug.Load
	s.load.Rate, s.load.Soon = 150, max(time.Second, bug.Load.Soon)
	s.duration, s.quiet, s.linger, s.dir = bugRun, bug.Quiet, bug.Linger, ""
	if bug.Ahead {
		s.rig.RedisAhead = time.Hour
	}
	if !clean {
		if s.rig.Bug, err = bug.Patch(); err != nil {
			return nil, err
		}
	}
	inject := injection(noFault)
	if bug.Inject != nil {
		inject = bug.Inject
	}
	v, err := s.play(ctx, io.Discard, inject)
	if err != nil {
		return nil, err
	}
	if v.Counts["rows"] == 0 {
		return nil, errors.New("nothing was created at all")
	}
	for _, checker := range v.Broken() {
		found = append(found, fmt.Sprintf("%s (%d)", checker, v.Totals[checker]))
	}
	return found, nil
}
