package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Mutation replaces a piece of a source file, for one build only: the file
// itself stays as it is.
type Mutation struct {
	// File is a path from the root of the module.
	File string `json:"file"`
	// Old must stand in the file exactly once.
	Old string `json:"old"`
	New string `json:"new"`
}

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

// Build puts the api and worker binaries of the chaos build into dir.
func Build(ctx context.Context, dir string, mutations []Mutation) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	args := []string{"build", "-tags", "chaos", "-o", dir + string(filepath.Separator)}
	if len(mutations) > 0 {
		overlay, err := writeOverlay(root, dir, mutations)
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

// writeOverlay makes the changed files and the list that go build reads.
func writeOverlay(root, dir string, mutations []Mutation) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // G301: binaries are no secret.
		return "", fmt.Errorf("make the build folder: %w", err)
	}
	replace := map[string]string{}
	for i, m := range mutations {
		path := filepath.Join(root, m.File)
		from := path
		if changed, again := replace[path]; again {
			from = changed
		}
		text, err := os.ReadFile(from) //nolint:gosec // G304: from our own table.
		if err != nil {
			return "", fmt.Errorf("read the source to change: %w", err)
		}
		if n := strings.Count(string(text), m.Old); n != 1 {
			return "", fmt.Errorf("%s holds the text to change %d times, want 1: %q", m.File, n, m.Old)
		}
		changed := filepath.Join(dir, fmt.Sprintf("overlay-%d%s", i, filepath.Ext(m.File)))
		text = []byte(strings.Replace(string(text), m.Old, m.New, 1))
		if err := os.WriteFile(changed, text, 0o600); err != nil { //nolint:gosec // G703: from our own table.
			return "", fmt.Errorf("write the changed source: %w", err)
		}
		replace[path] = changed
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

// redisAhead are the changes that make every script read a clock that is
// ahead, which is all of Redis' clock that the system ever sees.
func redisAhead(by time.Duration) (mutations []Mutation) {
	if by == 0 {
		return nil
	}
	for _, script := range []string{"claim", "index", "release", "revive", "turn"} {
		mutations = append(mutations, Mutation{
			File: "lua/" + script + ".lua",
			Old:  "time[1] * 1000000 + time[2]",
			New:  fmt.Sprintf("(time[1] + %d) * 1000000 + time[2]", int64(by.Seconds())),
		})
	}
	return mutations
}
