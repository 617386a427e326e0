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
	"path/filepath"
	"strings"
	"syscall"
)

const usage = `Usage: go tool stack <command>

Commands:
  up     run the whole of timewheel on this machine until Ctrl-C
  test   run the tests on real stores, and leave nothing behind
  bench  run the benchmarks of the folder bench on real stores

"go tool stack <command> --help" tells more. The stores are, in this order:
those that DATABASE_URL and REDIS_URL name; for "up", Docker's, if an engine
answers; private instances of the Postgres and Redis on this machine, which are
installed first where apt-get can.
`

func main() {
	os.Exit(run(os.Args[1:]))
}

// run returns the exit status: that of the program it ran, 2 for a wrong
// command line, 1 for any other failure.
func run(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	// Caught until the end, and never given back to the default: go tool
	// passes on the Ctrl-C that the terminal sends us too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	var err error
	switch command, rest := arguments[0], arguments[1:]; command {
	case "up":
		err = up(ctx, rest)
	case "test":
		err = test(ctx, rest)
	case "bench":
		err = bench(ctx, rest)
	case "help", "-h", "-help", "--help":
		fmt.Print(usage)
	default:
		fmt.Fprintf(os.Stderr, "stack: there is no command %q\n\n%s", command, usage)
		return 2
	}
	return status(err)
}

// exitError is that of a program that ran to its end and has said itself what
// went wrong.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func status(err error) int {
	var exit exitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errCommandLine):
		return 2
	}
	// Alone it needs no words of ours; with other errors it does.
	if !errors.As(err, &exit) || err.Error() != exit.Error() {
		fmt.Fprintf(os.Stderr, "stack: %v\n", err)
	}
	return max(1, int(exit))
}

// errCommandLine marks a command line that was refused with words already.
var errCommandLine = errors.New("wrong command line")

// moduleRoot is the folder of the module that the working folder belongs to.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	file := strings.TrimSpace(string(output))
	if filepath.Base(file) != "go.mod" {
		return "", errors.New("run this inside the checkout of timewheel")
	}
	return filepath.Dir(file), nil
}
