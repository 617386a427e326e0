package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// mountDisk gives Postgres a small disk of its own. It needs the right to mount.
func (r *Rig) mountDisk(ctx context.Context) (dir string, err error) {
	dir = filepath.Join(r.scratch, "disk")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // G301: Postgres' own user must get through it.
		return "", fmt.Errorf("make the disk's folder: %w", err)
	}
	mount := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=755", r.Config.Disk), "none", dir) //nolint:gosec // G204: all are our own.
	if out, err := mount.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount a small disk: %w: %s", err, out)
	}
	r.onClose(func() error { return syscall.Unmount(dir, 0) })
	return dir, nil
}

func (r *Rig) ballast() string { return filepath.Join(r.scratch, "disk", "ballast") }

// FillDisk leaves no block of the disk free.
func (r *Rig) FillDisk() error {
	f, err := os.Create(r.ballast())
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// FreeDisk undoes FillDisk.
func (r *Rig) FreeDisk() error { return os.Remove(r.ballast()) }
