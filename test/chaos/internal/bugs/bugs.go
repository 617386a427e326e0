// Package bugs holds seeded bugs: each removes one guard of the system, and
// must be found by the checkers. They are changes of the source that are
// applied to one build only, so the code itself knows nothing of them.
package bugs

import (
	"context"

	"github.com/timewheel/timewheel/test/chaos/internal/rig"
)

// Bug is one guard removed.
type Bug struct {
	Name string
	// Change is what removes it.
	Change []rig.Mutation
	// Hurt is the situation that the guard is for. Nil: load alone.
	Hurt func(ctx context.Context, r *rig.Rig) error
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

func change(file, old, replacement string) []rig.Mutation {
	return []rig.Mutation{{File: file, Old: old, New: replacement}}
}
