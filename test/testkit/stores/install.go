package stores

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/timewheel/timewheel/test/testkit/process"
)

// MissingError says that a store's program is not on this machine.
type MissingError struct{ Program string }

func (e *MissingError) Error() string {
	return e.Program + " is not on this machine; on Debian, type: sudo apt-get install -y postgresql redis-server"
}

// find is the path of a program: the one in PATH, or else the newest that
// Debian keeps outside of it.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/[1-9][0-9]/bin/" + program)
	if err != nil || len(installed) == 0 {
		return "", errors.Join(&MissingError{Program: program}, err)
	}
	return installed[len(installed)-1], nil
}

// firstMissing is a *MissingError, or nil if all programs are there that this
// package runs.
func firstMissing() error {
	for _, program := range []string{"postgres", "redis-server"} {
		if _, err := find(program); err != nil {
			return err
		}
	}
	return nil
}

//go:embed install.sh
var installation string

// Install makes sure that the stores' programs are on this machine. Where they
// lack it installs Debian's packages, without starting the services in them,
// if this process may; else it returns a *MissingError. What apt-get says goes
// to out.
func Install(ctx context.Context, out io.Writer) error {
	missing := firstMissing()
	if _, err := exec.LookPath("apt-get"); missing == nil || err != nil || os.Geteuid() != 0 {
		return missing
	}
	fmt.Fprintln(out, "installing postgresql and redis-server")
	command := exec.Command("sh", "-c", installation) //nolint:gosec,noctx // G204: the script is our own. process ends it.
	command.Stdout, command.Stderr = out, out
	if err := process.Run(ctx, command, syscall.SIGINT, stopPatience); err != nil {
		return fmt.Errorf("install the stores: %w", err)
	}
	return firstMissing()
}
