// Package lua holds the scripts that Redis runs, one file each. The header of
// a file lists its keys, its arguments and what it returns.
//
// There are three kinds, and no script touches the keys of two of them, which Redis
// Cluster may keep on different nodes: the ring of a type (claim, index, release, room), the
// agenda of all types (mark, next, leave), and the epoch (lead, check).
package lua

import _ "embed"

// The scripts, as source text.
var (
	//go:embed check.lua
	Check string
	//go:embed lead.lua
	Lead string

	//go:embed claim.lua
	Claim string
	//go:embed index.lua
	Index string
	//go:embed release.lua
	Release string
	//go:embed room.lua
	Room string

	//go:embed leave.lua
	Leave string
	// Mark and Next wake workers.
	Mark = wake + mark
	Next = wake + next

	//go:embed mark.lua
	mark string
	//go:embed next.lua
	next string
	//go:embed wake.lua
	wake string
)
