package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// run runs a program in a folder and returns what it says, without the last line's end.
func run(ctx context.Context, dir, input, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: all are our own.
	command.Dir, command.Stdin = dir, strings.NewReader(input)
	// A folder inside of another repository is no part of it.
	command.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, complaint.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Root is the folder of this module.
func Root(ctx context.Context) (string, error) {
	return run(ctx, "", "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/timewheel/timewheel")
}

// Commit names the state of the source, with a + if it differs from it.
func Commit(ctx context.Context, root string) string {
	commit, err := run(ctx, root, "", "git", "describe", "--always", "--exclude=*", "--dirty=+")
	if err != nil {
		return "unknown" // a tarball has no history
	}
	return commit
}

// build makes the api and worker binaries of the chaos build: of a source to which the
// patch was applied, and whose scripts read a clock of Redis that is ahead by so much. The
// source itself stays as it is.
func (r *Rig) build(ctx context.Context) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.scratch, "bin")
	overlay, err := WriteOverlay(ctx, root, dir, r.Config.Bug, r.Config.RedisAhead)
	if err != nil {
		return err
	}
	_, err = run(ctx, root, "", "go", "build", "-tags", "chaos", "-overlay", overlay,
		"-o", dir+string(filepath.Separator), "./services/api", "./services/worker")
	return err
}

// clockReaders are the scripts that read Redis' clock, which is all of it that the
// system ever sees.
var clockReaders = []string{"lua/check.lua", "lua/claim.lua", "lua/index.lua", "lua/lead.lua", "lua/mark.lua", "lua/next.lua", "lua/release.lua"}

var patchedFile = regexp.MustCompile(`(?m)^--- a/(.+)$`)

// WriteOverlay makes the changed files below dir and the list of them that go build
// reads, and returns the path of that. A patch's lines may have moved, but they and those
// around them must be as they were.
func WriteOverlay(ctx context.Context, root, dir, patch string, ahead time.Duration) (string, error) {
	changed := filepath.Join(dir, "overlay")
	if err := os.MkdirAll(changed, 0o750); err != nil {
		return "", fmt.Errorf("make the overlay's folder: %w", err)
	}
	var files []string
	for _, match := range patchedFile.FindAllStringSubmatch(patch, -1) {
		files = append(files, match[1])
	}
	if ahead > 0 {
		files = append(files, clockReaders...)
	}
	replace := map[string]string{}
	for _, file := range files {
		replace[filepath.Join(root, file)] = filepath.Join(changed, file)
		if _, err := run(ctx, root, "", "cp", "--parents", file, changed); err != nil {
			return "", err
		}
	}
	if patch != "" {
		if _, err := run(ctx, changed, patch, "git", "apply", "-"); err != nil {
			return "", fmt.Errorf("the patch no longer fits the source: %w", err)
		}
	}
	if ahead > 0 {
		if err := setAhead(changed, ahead); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("encode the overlay: %w", err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	return path, nil
}

// setAhead changes what the scripts in a folder read as the time.
func setAhead(dir string, by time.Duration) error {
	const clock = "time[1] * 1000000 + time[2]"
	for _, script := range clockReaders {
		path := filepath.Join(dir, script)
		text, err := os.ReadFile(path) //nolint:gosec // G304: a copy of our own.
		before, after, found := strings.Cut(string(text), clock)
		if err == nil && !found {
			err = errors.New("it does not read the clock")
		}
		if err == nil {
			ahead := fmt.Sprintf("%s(time[1] + %d) * 1000000 + time[2]%s", before, int64(by.Seconds()), after)
			err = os.WriteFile(path, []byte(ahead), 0o600) //nolint:gosec // G703: a copy of our own.
		}
		if err != nil {
			return fmt.Errorf("change the clock of %s: %w", script, err)
		}
	}
	return nil
}

// mountDisk gives Postgres a small disk of its own. It needs the right to mount.
func (r *Rig) mountDisk(ctx context.Context) (dir string, err error) {
	dir = filepath.Join(r.scratch, "disk")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // G301: Postgres' own user must get through it.
		return "", fmt.Errorf("make the disk's folder: %w", err)
	}
	_, err = run(ctx, r.scratch, "", "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=755", r.Config.Disk), "none", dir)
	if err != nil {
		return "", err
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
