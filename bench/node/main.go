// Command node is one process of a system that is compared, in the role that its argument
// names. It is a program of its own so that what the benchmark itself needs is not counted
// as memory of the systems.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/systems"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "node: one argument is needed, the role")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := rig.Profiled(func() error { return systems.Play(ctx, os.Args[1]) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}
