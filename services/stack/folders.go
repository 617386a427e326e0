package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/timewheel/timewheel/test/testkit/stores"
)

// scratchForm names temporary folders by the id of the process.
const scratchForm = "timewheel-stack-%d-"

// inScratch lends a temporary folder, with which goes whatever a killed program leaves.
// Those are removed too that a killed stack left.
func inScratch(use func(dir string) error) error {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "timewheel-stack-*"))
	if err != nil {
		return fmt.Errorf("look for old temporary folders: %w", err)
	}
	for _, folder := range left {
		var owner int
		if _, err := fmt.Sscanf(filepath.Base(folder), scratchForm, &owner); err == nil && errors.Is(syscall.Kill(owner, 0), syscall.ESRCH) {
			_ = os.RemoveAll(folder) // Best effort: it may be another user's.
		}
	}
	dir, err := stores.TempDir(fmt.Sprintf(scratchForm, os.Getpid()))
	if err != nil {
		return err
	}
	return errors.Join(use(dir), os.RemoveAll(dir))
}

// claimFolder makes the folder where the private stores of up keep their data, emptied
// if fresh, and keeps every other stack out of it until release is called or this
// process ends.
func claimFolder(named string, fresh bool) (dir string, release func() error, err error) {
	cache, err := os.UserCacheDir()
	if os.Geteuid() == 0 {
		cache, err = "/var/lib", nil // Root's own home is closed to the user that Postgres must run as.
	}
	if err == nil || named != "" {
		dir, err = filepath.Abs(cmp.Or(named, filepath.Join(cache, "timewheel")))
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o711) //nolint:gosec // G301: Postgres' own user must get through.
	}
	if err != nil {
		return "", nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: the user chose the folder.
	if err != nil {
		return "", nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another stack is up on %s; give this one a folder of its own with --data", dir)
	}
	if err == nil && fresh {
		err = errors.Join(os.RemoveAll(filepath.Join(dir, "postgres")), os.RemoveAll(filepath.Join(dir, "redis")))
	}
	if err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return dir, lock.Close, nil
}
