package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/testkit/process"
)

// interruptPatience is how long a program may take to end after a Ctrl-C.
const interruptPatience = 20 * time.Second

// program is a command of ours or of the user's, in a folder, with variables that win
// over those of the environment.
func program(dir string, environ []string, name string, arguments ...string) *exec.Cmd {
	command := exec.Command(name, arguments...) //nolint:gosec,noctx // G204: see above. process ends it.
	command.Dir, command.Env = dir, append(os.Environ(), environ...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command
}

// runToEnd runs a program to its end, or to that of ctx.
func runToEnd(ctx context.Context, command *exec.Cmd) error {
	return process.Run(ctx, command, syscall.SIGINT, interruptPatience)
}

// moduleRoot is the folder of the module that the working folder belongs to.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout of timewheel, in which this is to run: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}

func test(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		arguments = []string{"-race", "-shuffle=on", "./..."}
	}
	return inScratch(func(dir string) (err error) {
		stores := fromEnvironment()
		defer func() { err = errors.Join(err, stores.close()) }()
		if err := stores.startPrivate(ctx, dir); err != nil {
			return err
		}
		return runToEnd(ctx, program("", append(stores.environ(), "TMPDIR="+dir), "go", append([]string{"test"}, arguments...)...))
	})
}

func bench(ctx context.Context, arguments []string) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	folder := filepath.Join(root, "bench")
	return inScratch(func(dir string) error {
		binary := filepath.Join(dir, "benchmark")
		if err := runToEnd(ctx, program(folder, nil, "go", "build", "-o", binary, ".")); err != nil {
			return fmt.Errorf("build the benchmark: %w", err)
		}
		return runToEnd(ctx, program(folder, []string{"TMPDIR=" + dir}, binary, arguments...))
	})
}
