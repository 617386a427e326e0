package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const testUsage = `Usage: go tool stack test [flags and packages of go test]

Runs "go test" with DATABASE_URL and REDIS_URL set, by default with
-race -shuffle=on ./... . Stores that the environment does not name are
private ones in a temporary folder, and are gone afterwards.
`

const benchUsage = `Usage: go tool stack bench [flags of the benchmark]

Runs the program in the folder bench, a module of its own, which measures on
stores that it brings up itself in a temporary folder, and writes bench/results.
--quick ends in three minutes, --only c,d picks sections, --profile looks into
timewheel; bench/README.md has the rest.
`

// interruptPatience is how long go test may take to end after a Ctrl-C.
const interruptPatience = 20 * time.Second

func test(ctx context.Context, arguments []string) error {
	if wantsHelp(arguments, testUsage) {
		return nil
	}
	if len(arguments) == 0 {
		arguments = []string{"-race", "-shuffle=on", "./..."}
	}
	return onPrivateStores(ctx, func(stores *storeSet, dir string) error {
		command := exec.Command("go", append([]string{"test"}, arguments...)...) //nolint:gosec,noctx // G204: the user's own line. child ends it.
		// Whatever a test that is killed leaves goes with our folder.
		command.Env = stores.environ("TMPDIR=" + dir)
		return runToEnd(ctx, command)
	})
}

func bench(ctx context.Context, arguments []string) (err error) {
	if wantsHelp(arguments, benchUsage) {
		return nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	folder := filepath.Join(root, "bench")
	if _, err := os.Stat(filepath.Join(folder, "go.mod")); err != nil {
		return fmt.Errorf("there are no benchmarks: %w", err)
	}
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "benchmark")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".") //nolint:gosec // G204: the path is our own.
	build.Dir = folder
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the benchmark: %w", err)
	}
	command := exec.Command(program, arguments...) //nolint:gosec,noctx // G204: the user's own line. child ends it.
	command.Dir = folder
	// Whatever a benchmark that is killed leaves goes with our folder.
	command.Env = append(os.Environ(), "TMPDIR="+dir)
	return runToEnd(ctx, command)
}

func wantsHelp(arguments []string, text string) bool {
	if len(arguments) != 1 {
		return false
	}
	switch arguments[0] {
	case "help", "-h", "-help", "--help":
		fmt.Print(text)
		return true
	}
	return false
}

// onPrivateStores calls use with stores whose data, like the folder it is
// given, is gone afterwards.
func onPrivateStores(ctx context.Context, use func(stores *storeSet, dir string) error) (err error) {
	dir, err := scratch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stores := fromEnvironment()
	defer func() { err = errors.Join(err, stores.close()) }()
	if err := stores.startPrivate(ctx, dir, os.Stderr); err != nil {
		return err
	}
	return use(stores, dir)
}

// runToEnd runs the command with our own output until it ends. If ctx ends
// first it is interrupted, with everything that it started.
func runToEnd(ctx context.Context, command *exec.Cmd) error {
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	program, err := process.Start(command, syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-program.Done():
		return toStatus(program.Err())
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), program.Stop(syscall.SIGINT, interruptPatience))
	}
}

func toStatus(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exitError(exit.ExitCode())
	}
	return err
}
