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
	"syscall"
)

const usage = `Usage: go tool chaos <command> [flags]

  run       random faults by a seeded schedule, under load
  check     judge a recorded run again: go tool chaos check runs/<folder>
  points    kill a process again and again at each crash point
  unknown   cut the reply of each kind of commit, many times
  deletes   delete tasks at the very instant they are due
  death     how long it takes until a dead worker's tasks are settled
  flushall  how long it takes to repair Redis after FLUSHALL
  burst     many tasks due in one second, and more load than can be taken
  bugs      build in seeded bugs one by one, and see which checker finds each

Each command has --help. A run leaves its history in a folder of its own under
runs/, and ends with status 1 if a promise was broken.
`

// errBroken says that the verdict is bad. It was printed before.
var errBroken = errors.New("a promise was broken")

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

func command(args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"run": runCommand, "check": checkCommand, "points": pointsCommand, "unknown": unknownCommand,
		"deletes": deletesCommand, "death": deathCommand, "flushall": flushallCommand, "burst": burstCommand,
		"bugs": bugsCommand,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := commands[args[0]](ctx, args[1:], stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case !errors.Is(err, errBroken):
		fmt.Fprintln(stderr, "chaos:", err)
	}
	return 1
}
