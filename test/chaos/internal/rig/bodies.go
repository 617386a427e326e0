package rig

import "strings"

// The kinds of bodies that the tasks carry which clients create.
const (
	SmallBodies  int32 = iota
	PoisonBodies       // short to write, and long for whoever reads numbers or builds trees
	LargeBodies
)

// Body is what the task of the nth create carries, as JSON, or nil. One of twenty is
// large or poisonous while such bodies are asked for.
func (r *Rig) Body(n int64) []byte {
	if n%20 != 0 {
		return nil
	}
	switch r.Bodies.Load() {
	case PoisonBodies:
		switch n / 20 % 3 {
		case 0:
			return []byte(`{"n":[` + strings.Repeat("1e308,", 40_000) + `1]}`)
		case 1:
			return []byte(strings.Repeat("[", 60) + strings.Repeat("]", 60))
		default:
			return []byte(`{` + strings.Repeat(`"a":1,`, 40_000) + `"b":2}`)
		}
	case LargeBodies:
		return []byte(`"` + strings.Repeat("x", 250_000) + `"`)
	default:
		return nil
	}
}
