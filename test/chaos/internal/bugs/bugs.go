// Package bugs holds seeded bugs: each removes one guard of the system, and
// must be found by the checkers. Each is a patch in the folder patches, which is
// applied to one build only, so the code itself knows nothing of it. When the code
// around a guard changes, the patch no longer fits, and a test says so:
//
//	git apply test/chaos/internal/bugs/patches/NAME.patch   # fix by hand what is refused
//	git diff >NAME.patch; git apply -R NAME.patch
package bugs

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// Bug is one guard removed.
type Bug struct {
	Name string
	// Inject makes the situation that the guard is for. Nil: load alone.
	Inject func(ctx context.Context, r *rig.Rig) error
	// Load is the kind of tasks that meet it.
	Load Load
	// Ahead: Redis' clock is an hour ahead.
	Ahead bool
	// Harmless says why nothing can be found, for a change that another guard
	// makes up for. Empty: it must be found.
	Harmless string
}

// Load tells which tasks a bug needs, in percent of all.
type Load struct {
	Deletes, Retried, Slow, Keyed, Stay int
	// Soon is how far ahead tasks are due, in seconds; 0: one.
	Soon int
	// Types is how many types the tasks have; 0: one.
	Types int
	// Edge: all tasks are due just beyond the horizon.
	Edge bool
	// Quiet: the run ends without a last restart of Redis, which would repair
	// what the bug breaks.
	Quiet bool
	// Linger is how many seconds pass after the last fault before anybody
	// looks, for what shows only once the wheel has turned.
	Linger int
}

// All are the seeded bugs.
func All() []Bug { return append(outer(), inner()...) }

//go:embed patches/*.patch
var patches embed.FS

// Patch is the unified diff that removes the guard.
func (b Bug) Patch() (string, error) {
	text, err := patches.ReadFile("patches/" + b.file() + ".patch")
	if err != nil {
		return "", fmt.Errorf("read the patch of %q: %w", b.Name, err)
	}
	return string(text), nil
}

// file is the name in small letters, with dashes.
func (b Bug) file() string { return strings.ReplaceAll(strings.ToLower(b.Name), " ", "-") }
