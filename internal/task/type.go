package task

import (
	"encoding/json"
	"log/slog"
	"slices"
	"time"
)

// Type is a task type: what executes its tasks, and what bounds them. A nil is no limit,
// or what a node does by default.
type Type struct {
	Name    string
	Handler HandlerKind
	// Webhook is where the tasks of a type go whose handler is WebhookHandler. It is nil
	// for all others.
	Webhook *Webhook
	// Timeout bounds one attempt. Nil: the worker's own bound.
	Timeout *time.Duration
	// MaxAttempts is that of a task whose client names none. The task keeps it.
	MaxAttempts int
	// Retry is how long a task waits for its next attempt. Nil: DefaultRetry.
	Retry *Retry
	// ExpiresIn is how long after its execution time a task may start that has no NotAfter.
	ExpiresIn *time.Duration
	// MaxRunning is how many tasks may run at once, over all workers.
	MaxRunning *int
	Rate       *Rate
	// Paused: no task of the type starts.
	Paused bool
	// PayloadSchema is a JSON Schema, or nil.
	PayloadSchema json.RawMessage

	// Version grows with each change of any type, and is set by the store.
	Version   int64
	UpdatedAt time.Time
}

// HandlerKind says what executes the tasks of a type.
type HandlerKind string

// The kinds of handlers.
const (
	// Builtin is the code that ships under the type's own name.
	Builtin HandlerKind = "builtin"
	// WebhookHandler sends the task's payload to the type's own address.
	WebhookHandler HandlerKind = "webhook"
	// Lease leaves the tasks to clients that lease them.
	Lease HandlerKind = "lease"
)

// HandlerKinds lists all of them.
func HandlerKinds() []HandlerKind { return []HandlerKind{Builtin, WebhookHandler, Lease} }

// Webhook is the address of a type, and what is sent there beside the payload.
type Webhook struct {
	URL     string
	Headers map[string]string
	// Secret and PreviousSecret both sign. Given to a store, nil leaves what is there, and
	// an empty one removes it.
	Secret, PreviousSecret *Secret
}

// Secret is a text that no log and no answer shows.
type Secret string

const hidden = "[secret]"

// String hides it from package fmt.
func (Secret) String() string { return hidden }

// GoString hides it from %#v.
func (Secret) GoString() string { return hidden }

// LogValue hides it from logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides it from answers.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// Reveal is the text, for the one who signs with it or stores it.
func (s Secret) Reveal() string { return string(s) }

// Retry is how long a task waits for its next attempt: Delay after the first, Factor times
// as long with each one more, at most MaxDelay, and by chance more or less by a part of
// it: Jitter.
type Retry struct {
	Delay    time.Duration
	Factor   float64
	MaxDelay time.Duration
	Jitter   float64
}

// DefaultRetry is for types that say nothing else.
func DefaultRetry() Retry {
	return Retry{Delay: time.Second, Factor: 2, MaxDelay: time.Hour, Jitter: 0.2}
}

// Rate is how many tasks may start in a second, and how many of them at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

var shipped = []string{"bar", "baz", "foo", "webhook"}

// Shipped lists the types that are there from the start and cannot be deleted.
func Shipped() []string { return slices.Clone(shipped) }

// Ships reports whether a type is among them.
func Ships(name string) bool { return slices.Contains(shipped, name) }

// ValidTypeName reports whether a type may have the name: a lower case letter, and then up
// to 63 of those, digits, dots, underscores and hyphens.
func ValidTypeName(name string) bool {
	if name == "" || len(name) > MaxTypeLength || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Types is what changed of the types since a version.
type Types struct {
	// Version is that of all types together.
	Version int64
	// Changed are those that were put since, in order of their names.
	Changed []Type
	// Names are those of all types, in order. It is nil if nothing changed.
	Names []string
}
