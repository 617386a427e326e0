package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"maps"
	"slices"

	"github.com/timewheel/timewheel/test/chaos/internal/check"
)

func checkCommand(_ context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos check", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("check takes the folder of one run")
	}
	return conclude(judge(flags.Arg(0), out))
}

// judge reads the history in dir, runs every checker and prints the verdict.
func judge(dir string, out io.Writer) (*check.Verdict, error) {
	h, err := check.Load(dir)
	if err != nil {
		return nil, err
	}
	v := check.All(h)
	for _, name := range slices.Sorted(maps.Keys(v.Counts)) {
		say(out, "  %-32s %d", name, v.Counts[name])
	}
	for _, checker := range []string{check.Schedule, check.Multiset, check.Linearizability, check.Transitions, check.Convergence, check.Leaks} {
		if v.Total(checker) == 0 {
			say(out, "%s: ok", checker)
			continue
		}
		say(out, "%s: BROKEN, %d findings", checker, v.Total(checker))
		for _, found := range v.Found[checker] {
			say(out, "    %s", found)
		}
	}
	return v, nil
}

// conclude makes a bad verdict an error.
func conclude(v *check.Verdict, err error) error {
	if err == nil && len(v.Broken()) > 0 {
		return errBroken
	}
	return err
}
