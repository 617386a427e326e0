package wheel

import (
	"regexp"
	"slices"

	"github.com/timewheel/timewheel/internal/task"
)

// names are those of what concerns all types. The braces are the hash tag: Redis Cluster
// keeps all of it in one slot, so that one script may touch it.
type names struct {
	prefix string
	epoch  string // hash: how far the index is built, and by whom
	agenda string // sorted set: type, when its ring is to be looked at (unix µs)
	marks  string // hash: type, how often it was marked
	watch  string // hash: group, the worker that watches for it
	wake   string // channel: what is to be looked at before all else; in a cluster any node would do
}

func newNames(prefix string) names {
	tagged := prefix + ":{wheel}:"
	return names{
		prefix: prefix, epoch: tagged + "epoch", agenda: tagged + "agenda", marks: tagged + "marks",
		watch: tagged + "watch", wake: tagged + "wake",
	}
}

// ring are the keys of what is due of one type. Its name is the hash tag, so that a
// cluster spreads the types over its nodes.
type ring struct {
	due     string // sorted set: task id, due time (unix µs)
	claimed string // sorted set: task id, when the claim lapses (unix µs)
	limits  string // hash: how many tasks more may run, and when the next may start
}

func (n names) ring(taskType string) ring {
	tagged := n.prefix + ":{" + taskType + "}:"
	return ring{due: tagged + "due", claimed: tagged + "claimed", limits: tagged + "limits"}
}

func (r ring) keys() []string { return []string{r.due, r.claimed} }

// rings is what the keys of all rings match, and nameOfRing finds the type in one.
func (n names) rings() string { return n.prefix + ":{*}:*" }

var ringKey = regexp.MustCompile(`^:\{([^{}]+)\}:(due|claimed|limits)$`)

// part is what is of one type.
type part[T any] struct {
	taskType string
	tasks    []T
}

// byType parts tasks by their type, in the order in which the types come first.
func byType[T any](tasks []T, typeOf func(*T) string) (parts []part[T]) {
	if len(tasks) == 0 {
		return nil
	}
	first := typeOf(&tasks[0])
	if !slices.ContainsFunc(tasks, func(t T) bool { return typeOf(&t) != first }) {
		return []part[T]{{first, tasks}}
	}
	index := map[string]int{}
	for i := range tasks {
		name := typeOf(&tasks[i])
		at, known := index[name]
		if !known {
			at = len(parts)
			index[name] = at
			parts = append(parts, part[T]{taskType: name})
		}
		parts[at].tasks = append(parts[at].tasks, tasks[i])
	}
	return parts
}

func typeOfDue(d *task.Due) string     { return d.Type }
func typeOfDueIn(d *task.DueIn) string { return d.Type }
func typeOfRef(r *task.Ref) string     { return r.Type }
