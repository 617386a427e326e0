// Package lua holds the scripts that Redis runs, one file each. The header of
// a file lists its keys, its arguments and what it returns.
package lua

import _ "embed"

// The scripts, as source text.
var (
	//go:embed check.lua
	Check string
	//go:embed claim.lua
	Claim string
	//go:embed index.lua
	Index string
	//go:embed leave.lua
	Leave string
	//go:embed release.lua
	Release string
	//go:embed revive.lua
	Revive string
	//go:embed lead.lua
	Lead string
)
