// Stack is the dev loop: it brings up Postgres, Redis, the migrations, the API
// and workers on one machine, and runs the tests on the same stores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

const usage = `Usage: go tool stack up [flags]
       go tool stack test [flags and packages of go test]
       go tool stack bench [flags of the benchmark, see bench/README.md]

up builds the services, brings up the stores, applies the migrations, and runs the
API and the workers until Ctrl-C. The data is kept for the next run. LISTEN_ADDR
moves the API from its port, :8080, and WORKER_LISTEN_ADDR the first worker from
:8081; the other workers have the ports that follow. Every other variable of the
services is passed on to them.

test runs "go test" with DATABASE_URL and REDIS_URL set, by default with
-race -shuffle=on ./... . bench measures on stores of its own, and writes
bench/results: --quick ends in three minutes, --only c,d picks sections, --profile
looks into timewheel. Their stores are gone afterwards.

The stores are, in this order: those that DATABASE_URL and REDIS_URL name; for up,
Docker's, if an engine answers; private instances of the Postgres and Redis on this
machine, which are installed first where apt-get can.

Flags of up:
`

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit status: that of the program it ran, 2 for a wrong
// command line, 1 for any other failure.
func run(arguments []string) int {
	// Caught until the end, and never given back to the default: go tool
	// passes on the Ctrl-C that the terminal sends us too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := dispatch(ctx, arguments)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errCommandLine):
		return 2
	}
	exit, ended := errors.AsType[*exec.ExitError](err)
	// A program that ran to its end has said itself what went wrong.
	if !ended || !exit.Exited() || err.Error() != exit.Error() {
		fmt.Fprintf(os.Stderr, "stack: %v\n", err)
	}
	if ended {
		return max(1, exit.ExitCode())
	}
	return 1
}

// errCommandLine marks a command line that was refused with words already.
var errCommandLine = errors.New("wrong command line")

func dispatch(ctx context.Context, arguments []string) error {
	var o options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.IntVar(&o.workers, "workers", 1, "how many worker processes to run")
	flags.BoolVar(&o.watch, "watch", false, "build and start the services again when a .go, .lua or .sql file changes")
	flags.BoolVar(&o.fresh, "fresh", false, "throw the data of earlier runs away first")
	flags.StringVar(&o.data, "data", "", "the folder of the private stores' data (default: one for each user)")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	var command string
	if len(arguments) > 0 {
		command, arguments = arguments[0], arguments[1:]
	}
	helps := []string{"help", "-h", "-help", "--help"}
	switch {
	case slices.Contains(helps, command), len(arguments) == 1 && slices.Contains(helps, arguments[0]):
		flags.SetOutput(os.Stdout)
		flags.Usage()
		return flag.ErrHelp
	case command == "test":
		return test(ctx, arguments)
	case command == "bench":
		return bench(ctx, arguments)
	case command != "up":
		fmt.Fprintf(os.Stderr, "stack: there is no command %q\n\n", command)
		flags.Usage()
		return errCommandLine
	}
	if err := flags.Parse(arguments); err != nil {
		return errors.Join(errCommandLine, err)
	}
	if flags.NArg() > 0 || o.workers < 0 {
		fmt.Fprintln(os.Stderr, "stack: up takes no arguments, and no fewer than 0 workers")
		return errCommandLine
	}
	return up(ctx, o)
}
