package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// scratchPrefix names temporary folders; the id of the process follows it.
const scratchPrefix = "timewheel-stack-"

// scratch makes a temporary folder, and removes those that runs which were
// killed could not remove themselves.
func scratch() (string, error) {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	if err != nil {
		return "", fmt.Errorf("look for old temporary folders: %w", err)
	}
	for _, folder := range left {
		if !ownerLives(folder) {
			// Best effort: it may be another user's.
			_ = os.RemoveAll(folder)
		}
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", scratchPrefix, os.Getpid()))
	if err != nil {
		return "", fmt.Errorf("make a temporary folder: %w", err)
	}
	// Postgres' own user must get through it.
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // G302: see above, and the data inside is 0700.
}

func ownerLives(folder string) bool {
	id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), scratchPrefix), "-")
	process, err := strconv.Atoi(id)
	return err != nil || !errors.Is(syscall.Kill(process, 0), syscall.ESRCH)
}

// dataFolder is where the private stores of "up" keep their data.
func dataFolder() (string, error) {
	// Root's own home is closed to the user that Postgres must run as.
	if os.Geteuid() == 0 {
		return "/var/lib/timewheel", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the stores' data: %w", err)
	}
	return filepath.Join(cache, "timewheel"), nil
}

// claimFolder makes dir, emptied if fresh, and keeps every other stack out of
// it until release is called or this process ends.
func claimFolder(dir string, fresh bool) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // G301: Postgres' own user must get through it.
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: the user chose the folder.
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another stack is up on %s; give this one a folder of its own with --data", dir)
	}
	if err == nil && fresh {
		err = errors.Join(os.RemoveAll(filepath.Join(dir, "postgres")), os.RemoveAll(filepath.Join(dir, "redis")))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}
