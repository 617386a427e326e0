package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// typeField is one member of a task type on the wire. What PUT reads, what answers show,
// and what the OpenAPI document says is made from the table typeFields.
type typeField struct {
	name   string
	schema huma.Schema
	// read puts a value that is not null into a type that has its defaults.
	read func(raw jsontext.Value, t *task.Type, f *faults)
	// show is the value in an answer, or nil for null.
	show func(t *task.Type) any
}

// Bounds of a type's members.
const (
	minTimeout, maxTimeout = time.Millisecond, 24 * time.Hour
	minExpiry, maxExpiry   = time.Millisecond, 10 * 365 * 24 * time.Hour
	maxRetryDelay          = 30 * 24 * time.Hour
	maxFactor              = 100
	maxPerSecond           = 1_000_000
	minPerSecond           = 0.001
	maxCount               = 1_000_000
	maxSchema              = 64 << 10
)

var typeFields = []typeField{
	{
		name:   "handler",
		schema: huma.Schema{Type: "string", Enum: enum(task.HandlerKinds()), Description: "what executes the tasks: code that ships, the type's own webhook, or clients that lease them"},
		read:   readHandler,
		show:   func(t *task.Type) any { return t.Handler },
	},
	{
		name: "webhook",
		schema: huma.Schema{
			Type: "object", AdditionalProperties: false, Required: []string{"url"}, Nullable: true,
			Description: "where the payload of each task is sent by POST; for the handler webhook",
			Properties: map[string]*huma.Schema{
				"url":             {Type: "string", Format: "uri", Description: "http:// or https://"},
				"headers":         {Type: "object", AdditionalProperties: &huma.Schema{Type: "string"}, Description: "sent with each request"},
				"secret":          {Type: "string", Nullable: true, WriteOnly: true, Description: "whsec_ and 24 to 64 bytes in base64; signs each request as Standard Webhooks says. Not named, it stays; null removes it"},
				"previous_secret": {Type: "string", Nullable: true, WriteOnly: true, Description: "signs too, while the secret is changed"},
			},
		},
		read: readWebhook,
		show: showWebhook,
	},
	{
		name:   "timeout",
		schema: durationSchema("how long one attempt may take; null is TASK_TIMEOUT of the worker", "30s"),
		read: func(raw jsontext.Value, t *task.Type, f *faults) {
			if d, ok := readDuration(raw, "timeout", minTimeout, maxTimeout, f); ok {
				t.Timeout = &d
			}
		},
		show: func(t *task.Type) any { return durationOrNil(t.Timeout) },
	},
	{
		name: "max_attempts",
		schema: huma.Schema{
			Type: "integer", Minimum: number(1), Maximum: number(task.MaxAttemptsLimit), Default: 1,
			Description: "of a task that names none",
		},
		read: func(raw jsontext.Value, t *task.Type, f *faults) {
			t.MaxAttempts = readCount(raw, "max_attempts", task.MaxAttemptsLimit, f)
		},
		show: func(t *task.Type) any { return t.MaxAttempts },
	},
	{
		name:   "retry",
		schema: retrySchema("how long a task waits for its next attempt"),
		read:   func(raw jsontext.Value, t *task.Type, f *faults) { t.Retry = readRetry(raw, f) },
		show:   func(t *task.Type) any { return showRetry(t.Retry) },
	},
	{
		name:   "expires_in",
		schema: durationSchema("how long after its execution_time a task may start that names no not_after; null is for ever", "15m"),
		read: func(raw jsontext.Value, t *task.Type, f *faults) {
			if d, ok := readDuration(raw, "expires_in", minExpiry, maxExpiry, f); ok {
				t.ExpiresIn = &d
			}
		},
		show: func(t *task.Type) any { return durationOrNil(t.ExpiresIn) },
	},
	{
		name:   "max_running",
		schema: huma.Schema{Type: "integer", Minimum: number(1), Maximum: number(maxCount), Nullable: true, Description: "how many tasks may run at once, over all workers"},
		read: func(raw jsontext.Value, t *task.Type, f *faults) {
			n := readCount(raw, "max_running", maxCount, f)
			t.MaxRunning = &n
		},
		show: func(t *task.Type) any { return valueOrNil(t.MaxRunning) },
	},
	{
		name: "rate",
		schema: huma.Schema{
			Type: "object", AdditionalProperties: false, Nullable: true, Required: []string{"per_second"},
			Description: "how many tasks may start",
			Properties: map[string]*huma.Schema{
				"per_second": {Type: "number", Minimum: number(minPerSecond), Maximum: number(maxPerSecond)},
				"burst":      {Type: "integer", Minimum: number(1), Maximum: number(maxCount), Default: 1, Description: "at once, after a pause"},
			},
		},
		read: readRate,
		show: func(t *task.Type) any {
			if t.Rate == nil {
				return nil
			}
			return map[string]any{"per_second": t.Rate.PerSecond, "burst": t.Rate.Burst}
		},
	},
	{
		name:   "paused",
		schema: huma.Schema{Type: "boolean", Default: false, Description: "true: nothing of the type starts after the answer"},
		read: func(raw jsontext.Value, t *task.Type, f *faults) {
			if kind := raw.Kind(); kind != 't' && kind != 'f' {
				f.add("paused", "must be true or false")
			}
			t.Paused = raw.Kind() == 't'
		},
		show: func(t *task.Type) any { return t.Paused },
	},
	{
		name:   "payload_schema",
		schema: huma.Schema{Description: "a JSON Schema (2020-12) that the payload of a new task must fit, of at most 64 KiB; null is none"},
		read:   readSchema,
		show:   func(t *task.Type) any { return rawOrNil(t.PayloadSchema) },
	},
}

func property(s huma.Schema) *huma.Schema { return &s }

func durationSchema(description, example string) huma.Schema {
	return huma.Schema{Type: "string", Nullable: true, Description: description + `, such as "1m30s"`, Examples: []any{example}}
}

func readHandler(raw jsontext.Value, t *task.Type, f *faults) {
	t.Handler = task.HandlerKind(textOf(raw))
	for _, kind := range task.HandlerKinds() {
		if t.Handler == kind {
			return
		}
	}
	f.add("handler", "must be builtin, webhook or lease")
}

func readDuration(raw jsontext.Value, field string, least, most time.Duration, f *faults) (time.Duration, bool) {
	d, err := time.ParseDuration(textOf(raw))
	if err != nil || d < least || d > most {
		f.add(field, fmt.Sprintf(`must be a duration such as "1m30s", from %s to %s`, formatDuration(least), formatDuration(most)))
		return 0, false
	}
	return d, true
}

func readCount(raw jsontext.Value, field string, most int, f *faults) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 1 || n > most {
		f.add(field, "must be a whole number from 1 to "+strconv.Itoa(most))
	}
	return n
}

func readNumber(raw jsontext.Value, field string, least, most float64, f *faults) float64 {
	n, err := strconv.ParseFloat(string(raw), 64)
	if raw.Kind() != '0' || err != nil || n < least || n > most || math.IsNaN(n) {
		f.add(field, fmt.Sprintf("must be a number from %v to %v", least, most))
	}
	return n
}

// readObject reads the members of an object, by name, and lists those that are not known.
// A member that is null counts as not given, unless keepNull.
func readObject(raw jsontext.Value, field string, f *faults, read map[string]func(jsontext.Value)) {
	if raw.Kind() != '{' {
		f.add(field, "must be an object")
		return
	}
	d := newDecoder(raw)
	err := readMembers(d, raw, func(name []byte, value jsontext.Value) {
		if do := read[string(name)]; do != nil {
			do(value)
		} else {
			f.add(field+"."+shorten(string(name)), "is not known")
		}
	})
	if err != nil { // it was read before, without a fault
		f.add(field, "must be an object")
	}
}

func readRate(raw jsontext.Value, t *task.Type, f *faults) {
	t.Rate = &task.Rate{Burst: 1}
	readObject(raw, "rate", f, map[string]func(jsontext.Value){
		"per_second": func(v jsontext.Value) {
			t.Rate.PerSecond = readNumber(v, "rate.per_second", minPerSecond, maxPerSecond, f)
		},
		"burst": func(v jsontext.Value) { t.Rate.Burst = readCount(v, "rate.burst", maxCount, f) },
	})
	if raw.Kind() == '{' && t.Rate.PerSecond == 0 {
		f.add("rate.per_second", "is required, and more than 0")
	}
}

func readSchema(raw jsontext.Value, t *task.Type, f *faults) {
	switch kind := raw.Kind(); {
	case kind != '{' && kind != 't' && kind != 'f':
		f.add("payload_schema", "must be a JSON Schema: an object, true or false")
	case len(raw) > maxSchema:
		f.add("payload_schema", "is larger than 64 KiB")
	case kind == '{' && checkPayload(raw) != nil: // its numbers and its depth are bounded too
		f.add("payload_schema", checkPayload(raw).Error())
	default:
		t.PayloadSchema = json.RawMessage(raw.Clone())
	}
}

// formatDuration writes 1h0m0s as 1h.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func durationOrNil(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return formatDuration(*d)
}

func valueOrNil[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}
