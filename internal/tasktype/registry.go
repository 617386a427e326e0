// Package tasktype holds the task types that ship, one file per type. A handler
// gets one started attempt and returns its result; it decides nothing about
// the task's life.
package tasktype

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// Func runs one attempt of a task and returns its result, a JSON value or
// nil. An error fails the attempt; a result beside it is kept all the same.
// When ctx ends the handler stops as soon as it can and returns its cause.
type Func = func(ctx context.Context, t *task.Task) (json.RawMessage, error)

// Problem is one thing wrong with a payload. Message quotes no value.
type Problem struct {
	// Field is a path such as payload.url.
	Field   string
	Message string
}

// Options of the task types.
type Options struct {
	// BarURL is what bar gets when the payload names no URL. Empty is
	// DefaultBarURL.
	BarURL string
	// MaxDuration is how long a task may run whose type has no timeout: foo does not take a
	// longer sleep, which could only fail. Zero is a day.
	MaxDuration time.Duration
	// AllowPrivate lets bar and webhook reach addresses that are not public.
	AllowPrivate bool
	Log          *slog.Logger
}

// Registry knows the task types by name.
type Registry struct {
	kinds       map[string]taskType
	maxDuration time.Duration
	web         http.RoundTripper
	log         *slog.Logger
}

// taskType is one task type: how it runs, and what its payload must be of a task that may
// run for so long.
type taskType struct {
	run   Func
	check func(payload json.RawMessage, timeout time.Duration) []Problem
}

// New registers every task type that ships.
func New(options Options) *Registry {
	web := newTransport(options.AllowPrivate)
	if options.BarURL == "" {
		options.BarURL = DefaultBarURL
	}
	if options.MaxDuration == 0 {
		options.MaxDuration = fooMax
	}
	r := &Registry{maxDuration: options.MaxDuration, web: web, log: options.Log}
	r.kinds = map[string]taskType{
		"foo":     newFoo(options.Log),
		"bar":     newBar(options.Log, web, options.BarURL),
		"baz":     newBaz(options.Log),
		"webhook": newWebhook(r.send),
	}
	return r
}

// Lookup finds the handler of a task type.
func (r *Registry) Lookup(taskType string) (Func, bool) {
	k, ok := r.kinds[taskType]
	return k.run, ok
}

// Handler finds what executes the tasks of a declared type. It is false if no worker does:
// the type's tasks are leased, or its code is of another version.
func (r *Registry) Handler(t task.Type) (Func, bool) {
	switch t.Handler {
	case task.Builtin:
		return r.Lookup(t.Name)
	case task.WebhookHandler:
		return r.Endpoint(t), t.Webhook != nil
	case task.Lease:
	}
	return nil, false
}

// Validate lists everything that is wrong with a payload, a JSON object or
// nil, for this task type. A type that does not ship has no problems.
func (r *Registry) Validate(t task.Type, payload json.RawMessage) []Problem {
	k, ok := r.kinds[t.Name]
	if !ok {
		return nil
	}
	timeout := r.maxDuration
	if t.Timeout != nil {
		timeout = *t.Timeout
	}
	return k.check(payload, timeout)
}

// printOutput is what "a handler prints" means: one line of log, and a result.
func printOutput(ctx context.Context, log *slog.Logger, t *task.Task, output string) {
	log.InfoContext(ctx, "task printed", "task_id", t.ID, "task_type", t.Type, "attempt", t.Attempt, "output", output)
}
