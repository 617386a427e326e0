package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Root is the folder of this module.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/timewheel/timewheel").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Commit names the state of the source, with a + if it differs from it.
func Commit(ctx context.Context, root string) string {
	git := func(args ...string) (string, error) {
		command := exec.CommandContext(ctx, "git", args...) //nolint:gosec // G204: all are our own.
		command.Dir = root
		out, err := command.Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return "unknown" // a tarball has no history
	}
	if changed, err := git("status", "--porcelain", "--untracked-files=no"); err != nil || changed != "" {
		commit += "+"
	}
	return commit
}

// Build puts the api and worker binaries of the chaos build into dir: of a source to
// which these patches (unified diffs) were applied, and whose scripts read a clock of
// Redis that is ahead by so much. The source itself stays as it is.
func Build(ctx context.Context, dir string, patches []string, ahead time.Duration) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	args := []string{"build", "-tags", "chaos", "-o", dir + string(filepath.Separator)}
	if len(patches) > 0 || ahead > 0 {
		overlay, err := writeOverlay(ctx, root, dir, patches, ahead)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(args, "./services/api", "./services/worker")...) //nolint:gosec // G204: all are our own.
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build the chaos binaries: %w: %s", err, out)
	}
	return nil
}

// clockReaders are the scripts that read Redis' clock, which is all of it that the
// system ever sees.
var clockReaders = []string{"lua/check.lua", "lua/claim.lua", "lua/index.lua", "lua/lead.lua", "lua/mark.lua", "lua/next.lua", "lua/release.lua"}

// writeOverlay makes the changed files and the list of them that go build reads.
func writeOverlay(ctx context.Context, root, dir string, patches []string, ahead time.Duration) (string, error) {
	changed := filepath.Join(dir, "overlay")
	files := patched(patches)
	if ahead > 0 {
		files = append(files, clockReaders...)
	}
	replace := map[string]string{}
	for _, file := range files {
		replace[filepath.Join(root, file)] = filepath.Join(changed, file)
	}
	if err := copyAll(replace); err != nil {
		return "", fmt.Errorf("copy the source to change: %w", err)
	}
	for _, patch := range patches {
		if err := apply(ctx, changed, patch); err != nil {
			return "", err
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

var patchedFile = regexp.MustCompile(`(?m)^--- a/(.+)$`)

func patched(patches []string) (files []string) {
	for _, patch := range patches {
		for _, match := range patchedFile.FindAllStringSubmatch(patch, -1) {
			files = append(files, match[1])
		}
	}
	return files
}

func copyAll(replace map[string]string) error {
	for from, to := range replace {
		text, err := os.ReadFile(from) //nolint:gosec // G304: from our own patches.
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755) //nolint:gosec // G301: the source is no secret.
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o600) //nolint:gosec // G703: from our own patches.
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// apply applies a patch to the files in a folder. Its lines may have moved, but they and
// those around them must be as they were.
func apply(ctx context.Context, dir, patch string) error {
	command := exec.CommandContext(ctx, "git", "apply", "-")
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	command.Stdin = strings.NewReader(patch)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("the patch no longer fits the source: %w: %s", err, out)
	}
	return nil
}

func setAhead(dir string, by time.Duration) error {
	const clock = "time[1] * 1000000 + time[2]"
	for _, script := range clockReaders {
		path := filepath.Join(dir, script)
		text, err := os.ReadFile(path) //nolint:gosec // G304: a copy of our own.
		if err != nil {
			return fmt.Errorf("read a script: %w", err)
		}
		if n := strings.Count(string(text), clock); n != 1 {
			return fmt.Errorf("%s reads the clock %d times, want 1", script, n)
		}
		ahead := strings.Replace(string(text), clock, fmt.Sprintf("(time[1] + %d) * 1000000 + time[2]", int64(by.Seconds())), 1)
		if err := os.WriteFile(path, []byte(ahead), 0o600); err != nil { //nolint:gosec // G703: a copy of our own.
			return fmt.Errorf("write a script: %w", err)
		}
	}
	return nil
}

// Check reports whether patches still fit the source.
func Check(ctx context.Context, scratch string, patches []string, ahead time.Duration) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	_, err = writeOverlay(ctx, root, scratch, patches, ahead)
	return err
}
