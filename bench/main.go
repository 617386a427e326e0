// Command bench runs timewheel, asynq and River side by side on one machine and says how
// they compare. README.md tells what is measured and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/timewheel/timewheel/bench/work"
)

const usage = `Usage: go tool stack bench [flags]

Runs timewheel, asynq and River side by side on private stores, in turns, and
writes medians, spreads and ratios to the folder of the results.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errCommandLine):
		os.Exit(2)
	case err != nil && !errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	o, err := parse(arguments)
	if err != nil {
		return err
	}
	if o.profile {
		return work.Profile(ctx, o.Options, o.out)
	}
	results, err := work.Run(ctx, o.Options)
	// What was measured is kept, whatever came after.
	if err = errors.Join(err, results.Write(o.out)); err != nil {
		return err
	}
	fmt.Println("the results are in", o.out)
	if n := len(results.Failures); n > 0 {
		return fmt.Errorf("%d measurements failed; the results name them", n)
	}
	return nil
}

// errCommandLine marks a command line that was refused with words already.
var errCommandLine = errors.New("wrong command line")

type options struct {
	work.Options
	out     string
	profile bool
}

func parse(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	quick := flags.Bool("quick", false, "less of everything, in under three minutes: one round, no sweep, sections "+work.QuickSections)
	full := flags.Bool("full", false, "also execute 1,000,000 tasks")
	only := flags.String("only", "", "the letters of the sections to measure, such as c,d")
	rounds := flags.Int("rounds", 0, "how often everything is measured (default 3, with --quick 1)")
	names := flags.String("systems", "timewheel,asynq,river", "who takes part; timewheel always does")
	rows := flags.Int("rows", 0, "one more number of stored rows to try in section g, such as 10000000")
	flags.BoolVar(&o.Sweep, "sweep", true, "try the settings of each system first; never with --quick")
	flags.StringVar(&o.out, "out", "results", "the folder of the results")
	flags.BoolVar(&o.profile, "profile", false, "profile timewheel while it creates and executes, in place of all else")
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errCommandLine
	}
	o.Command, o.Out = strings.Join(append([]string{"go tool stack bench"}, arguments...), " "), os.Stderr
	o.Systems = append([]string{"timewheel"}, strings.Split(*names, ",")...)
	o.Scale, o.Rounds, o.Sections = work.Normal, 3, strings.ReplaceAll(*only, ",", "")
	refusal := ""
	switch {
	case flags.NArg() > 0:
		refusal = "there are no arguments beside the flags"
	case *quick && *full:
		refusal = "--quick and --full contradict each other"
	case strings.Trim(o.Sections, "abcdefgh") != "":
		refusal = "--only takes letters from a to h"
	case *rounds < 0 || *rows < 0:
		refusal = "there are no negative numbers of rounds or rows"
	case *quick:
		o.Scale, o.Rounds, o.Sweep = work.Quick, 1, false
		if o.Sections == "" {
			o.Sections = work.QuickSections
		}
	case *full:
		o.Scale.Execute = append(slices.Clone(o.Scale.Execute), 1_000_000)
	}
	if refusal != "" {
		fmt.Fprintln(flags.Output(), "bench:", refusal)
		return o, errCommandLine
	}
	if *rounds > 0 {
		o.Rounds = *rounds
	}
	if *rows > 0 {
		o.Scale.Growth = append(slices.Clone(o.Scale.Growth), *rows)
	}
	return o, nil
}
