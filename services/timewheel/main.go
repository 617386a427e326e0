// Command timewheel is the command line of the API: tasks, task types, schedules,
// operations and keys. docs/cli.md has every command with an example.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	// A reader that leaves is an error of the next write, and then no failure: scripts with
	// pipefail go on.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{in: os.Stdin, out: &output{w: os.Stdout}, errOut: os.Stderr, getenv: os.Getenv, now: time.Now}
	return c.run(ctx, os.Args[1:])
}
