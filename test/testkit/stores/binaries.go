package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// programs are those that this package runs.
var programs = []string{"postgres", "redis-server"}

// MissingError says that a store's program is not on this machine.
type MissingError struct{ Program string }

func (e *MissingError) Error() string {
	return e.Program + " is not on this machine; to install it, type: " + installLine()
}

func installLine() string {
	if _, err := exec.LookPath("apt-get"); err == nil {
		return "sudo apt-get install -y postgresql redis-server"
	}
	if _, err := exec.LookPath("brew"); err == nil {
		return "brew install postgresql redis"
	}
	return "your package manager's line for PostgreSQL and Redis"
}

// find is the path of a program: the one in PATH, or else the newest that
// Debian keeps outside of it.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if err != nil || len(installed) == 0 {
		return "", errors.Join(&MissingError{Program: program}, err)
	}
	return slices.MaxFunc(installed, func(a, b string) int { return major(a) - major(b) }), nil
}

// major is the version in a path such as /usr/lib/postgresql/17/bin/postgres,
// or 0.
func major(path string) int {
	version, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0
	}
	return version
}

// Install makes sure that the stores' programs are on this machine. Where they
// lack it installs Debian's packages, without starting the services in them,
// if this process may; else it returns a *MissingError. What apt-get says goes
// to out.
func Install(ctx context.Context, out io.Writer) error {
	missing := firstMissing()
	if missing == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return missing
	}
	fmt.Fprintln(out, "installing postgresql and redis-server")
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	err = aptGet(ctx, out, "update")
	if err == nil {
		err = aptGet(ctx, out, "install", "-y", "--no-install-recommends", "postgresql", "redis-server")
	}
	if err = errors.Join(err, restore()); err != nil {
		return fmt.Errorf("install the stores: %w", err)
	}
	return firstMissing()
}

func firstMissing() error {
	for _, program := range programs {
		if _, err := find(program); err != nil {
			return err
		}
	}
	return nil
}

func aptGet(ctx context.Context, out io.Writer, arguments ...string) error {
	arguments = append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, arguments...)
	command := exec.CommandContext(ctx, "apt-get", arguments...) //nolint:gosec // G204: the arguments are our own.
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	command.Stdout, command.Stderr = out, out
	return command.Run()
}

// forbidServices keeps Debian's packages from starting their own servers, by
// the file that Debian's tools ask, and returns what takes it away again. A
// machine that has such a file keeps its own.
func forbidServices() (restore func() error, err error) {
	const policy = "/usr/sbin/policy-rc.d"
	file, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755) //nolint:gosec // G302: Debian's tools execute it.
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keep packages from starting services: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("keep packages from starting services: %w", errors.Join(err, os.Remove(policy)))
	}
	return func() error { return os.Remove(policy) }, nil
}

// unprivileged is the user to run Postgres as, or nil if this process is not
// root and may run it itself.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // No other user is what a nil credential means to the kernel's caller.
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user to run postgres as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the id of user %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the group of user %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
