package access

import "strings"

// Scopes is a set of scopes. What is declared to need Open is open to everybody.
type Scopes uint8

// The scopes. Each route of the API needs one of them, or none.
const (
	Read   Scopes = 1 << iota // look at tasks, types and schedules
	Create                    // create tasks
	Change                    // change and delete tasks, and schedules
	Lease                     // execute tasks
	Admin                     // types, keys and the audit

	Open Scopes = 0
)

var scopeNames = []string{"read", "create", "change", "lease", "admin"}

// ScopeNames are those of all scopes.
func ScopeNames() []string { return append([]string{}, scopeNames...) }

// ParseScope reads the name of one scope.
func ParseScope(name string) (Scopes, bool) {
	for i, known := range scopeNames {
		if name == known {
			return 1 << i, true
		}
	}
	return 0, false
}

// Has reports whether all of the others are among s.
func (s Scopes) Has(others Scopes) bool { return others&^s == 0 }

// Names are those of the scopes of the set.
func (s Scopes) Names() []string {
	names := []string{}
	for i, name := range scopeNames {
		if s.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

func (s Scopes) String() string { return strings.Join(s.Names(), ",") }
