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

// mountDisk gives Postgres a small disk of its own, if one is asked for. It
// needs the right to mount.
func (r *Rig) mountDisk(ctx context.Context) error {
	if r.Config.Disk == 0 {
		return nil
	}
	dir := filepath.Join(r.scratch, "disk")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // G301: Postgres' own user must get through it.
		return fmt.Errorf("make the disk's folder: %w", err)
	}
	mount := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=755", r.Config.Disk), "none", dir) //nolint:gosec // G204: all are our own.
	if out, err := mount.CombinedOutput(); err != nil {
		return fmt.Errorf("mount a small disk: %w: %s", err, out)
	}
	r.Disk = dir
	r.onClose(func() error { return syscall.Unmount(dir, 0) })
	return nil
}

// FillDisk leaves no byte of the disk free.
func (r *Rig) FillDisk() error {
	f, err := os.Create(filepath.Join(r.Disk, "ballast"))
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	block := make([]byte, 1<<20)
	for size := len(block); size >= 4096; {
		_, err := f.Write(block[:size])
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
			continue
		}
		if err != nil {
			return fmt.Errorf("fill the disk: %w", errors.Join(err, f.Close()))
		}
	}
	return f.Close()
}

// FreeDisk undoes FillDisk.
func (r *Rig) FreeDisk() error {
	if err := os.Remove(filepath.Join(r.Disk, "ballast")); err != nil {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}
