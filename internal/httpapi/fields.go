package httpapi

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// taskField is one member of a task on the wire. What requests are read by, answers are
// written by, and the OpenAPI document says is made from the table taskFields: a new
// member is one more entry of it.
type taskField struct {
	name   string
	schema huma.Schema
	// read puts what a client sends into a draft; raw is nil if it is not sent. Nil:
	// clients do not set it.
	read func(m *taskMembers, raw jsontext.Value, draft *task.Draft)
	// patch takes what a client sends to change it. Nil: it cannot be changed.
	patch func(p *taskPatch, raw jsontext.Value)
	// required is whether a client must send it, and nullable whether null stands for
	// nothing.
	required, nullable bool
	// show is the value in an answer, or nil if there is none. Nil: it is not shown.
	show func(t *task.Task) any
	// always is whether every task has it.
	always bool
}

var taskFields = []taskField{
	{
		name:   "task_id",
		schema: huma.Schema{Type: "string", Format: "uuid", Description: "names the task for its whole life", Examples: []any{exampleID}},
		show:   func(t *task.Task) any { return t.ID.String() }, always: true,
	},
	{
		name:   "task_type",
		schema: huma.Schema{Type: "string", Description: "what is executed", Examples: []any{"foo"}},
		read:   (*taskMembers).readType, required: true,
		show: func(t *task.Task) any { return t.Type }, always: true,
	},
	{
		name:   "status",
		schema: huma.Schema{Type: "string", Enum: enum(task.Statuses()), Description: "where the task is in its life"},
		show:   func(t *task.Task) any { return t.Status }, always: true,
	},
	{
		name: "execution_time",
		schema: huma.Schema{
			Type: "string", Format: "date-time", Examples: []any{"2030-01-02T15:04:05.25+01:00"},
			Description: "when to execute: RFC 3339 with a zone, of the years 0001 to 9999. Finer than a microsecond is rounded up. " +
				"A time in the past is due at once.",
		},
		read: func(m *taskMembers, raw jsontext.Value, d *task.Draft) { d.ExecutionTime = readTime(raw, m.faults) }, required: true,
		patch: (*taskPatch).readTime,
		show:  func(t *task.Task) any { return formatTime(t.ExecutionTime) }, always: true,
	},
	{
		name:   "due_at",
		schema: timeSchema("when the task is due next; later than execution_time after a retry"),
		show:   func(t *task.Task) any { return formatTime(t.DueAt) }, always: true,
	},
	{
		name:   "attempt",
		schema: huma.Schema{Type: "integer", Minimum: number(0), Description: "how often the task was started", Examples: []any{1}},
		show:   func(t *task.Task) any { return t.Attempt }, always: true,
	},
	{
		name: "max_attempts",
		schema: huma.Schema{
			Type: "integer", Minimum: number(1), Maximum: number(task.MaxAttemptsLimit), Description: "how often the task may be started, by default as the type says. 1 executes at most once. More executes at least once, again after a failure.",
		},
		read: (*taskMembers).readAttempts, patch: (*taskPatch).readAttempts,
		show: func(t *task.Task) any { return t.MaxAttempts }, always: true,
	},
	{
		name: "not_after",
		schema: huma.Schema{
			Type: "string", Format: "date-time", Examples: []any{"2030-01-02T15:05:00Z"},
			Description: "until when the task may start, by Postgres' clock; later it fails with the code expired. " +
				"By default as the type says, which is for ever if it says nothing. Finer than a microsecond is rounded down.",
		},
		read: func(m *taskMembers, raw jsontext.Value, d *task.Draft) { m.readBounds("not_after", raw, d) }, nullable: true,
		patch: (*taskPatch).readNotAfter,
		show:  func(t *task.Task) any { return formatOrNil(t.NotAfter) },
	},
	{
		name:   "timeout",
		schema: huma.Schema{Type: "string", Description: `how long one attempt may take, such as "1m30s"; by default as the type says`, Examples: []any{"30s"}},
		read:   func(m *taskMembers, raw jsontext.Value, d *task.Draft) { m.readBounds("timeout", raw, d) }, nullable: true,
		patch: (*taskPatch).readTimeout,
		show:  func(t *task.Task) any { return durationOrNil(t.Timeout) },
	},
	{
		name:   "retry",
		schema: retrySchema("how long the task waits for its next attempt; by default as the type says"),
		read:   func(m *taskMembers, raw jsontext.Value, d *task.Draft) { m.readBounds("retry", raw, d) }, nullable: true,
		patch: (*taskPatch).readRetry,
		show:  func(t *task.Task) any { return showRetry(t.Retry) },
	},
	{
		name:   "worker_id",
		schema: huma.Schema{Type: "string", Format: "uuid", Description: "the worker session of the latest attempt"},
		show: func(t *task.Task) any {
			if t.WorkerID == uuid.Nil {
				return nil
			}
			return t.WorkerID.String()
		},
	},
	{
		name: "created_at", schema: timeSchema("when the task was committed"),
		show: func(t *task.Task) any { return formatTime(t.CreatedAt) }, always: true,
	},
	{
		name: "started_at", schema: timeSchema("when the latest attempt started"),
		show: func(t *task.Task) any { return formatKnown(t.StartedAt) },
	},
	{
		name: "finished_at", schema: timeSchema("when the task ended"),
		show: func(t *task.Task) any { return formatKnown(t.FinishedAt) },
	},
	{
		name: "cancel_requested_at", schema: timeSchema("when a client asked to cancel the task while it ran"),
		show: func(t *task.Task) any { return formatKnown(t.CancelRequestedAt) },
	},
	{
		name:   "retry_of",
		schema: huma.Schema{Type: "string", Format: "uuid", Description: "the task that this one repeats", Examples: []any{exampleID}},
		show: func(t *task.Task) any {
			if t.RetryOf == uuid.Nil {
				return nil
			}
			return t.RetryOf.String()
		},
	},
	{
		name: "lateness_ms",
		schema: huma.Schema{
			Type: "number", Format: "double", Examples: []any{1.204},
			Description: "started_at minus execution_time, in milliseconds, exact to the microsecond",
		},
		show: func(t *task.Task) any {
			late, started := t.Lateness()
			if !started {
				return nil
			}
			return float64(late.Microseconds()) / 1000
		},
	},
	{
		name: "payload",
		schema: huma.Schema{
			Type: "object", AdditionalProperties: true, Examples: []any{map[string]any{"duration": "1s"}},
			Description: "what the task type needs, kept byte by byte; at most 64 levels deep, without U+0000 and lone surrogates, " +
				"and with numbers of at most 1000 digits and exponents within 308",
		},
		read: (*taskMembers).readPayload, patch: (*taskPatch).readPayload, nullable: true,
		show: func(t *task.Task) any { return rawOrNil(t.Payload) },
	},
	labelsField,
	{
		name:   "result",
		schema: huma.Schema{Description: "any JSON value that the task type returned"},
		show:   func(t *task.Task) any { return rawOrNil(t.Result) },
	},
	{
		name:   "failure",
		schema: huma.Schema{Ref: schemaPrefix + "Failure"},
		show: func(t *task.Task) any {
			if t.Failure == nil {
				return nil
			}
			return failure{Code: t.Failure.Code, Message: t.Failure.Message}
		},
	},
}

type failure struct {
	Code    task.Code `json:"code" doc:"why, for a program" example:"timeout"`
	Message string    `json:"message" doc:"why, for a person" example:"not done within 5m0s"`
}

// taskResponse is a task as answers show it. What is not there yet is absent.
type taskResponse struct{ task *task.Task }

// MarshalJSON writes the members of taskFields, in their order.
func (r taskResponse) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i := range taskFields {
		f := &taskFields[i]
		if f.show == nil {
			continue
		}
		value := f.show(r.task)
		if value == nil {
			continue
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, f.name...)
		out = append(out, '"', ':')
		out = append(out, encoded...)
	}
	return append(out, '}'), nil
}

const exampleID = "0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"

func timeSchema(description string) huma.Schema {
	return huma.Schema{Type: "string", Format: "date-time", Description: description, Examples: []any{"2030-01-02T14:04:05.250000Z"}}
}

func number(n float64) *float64 { return &n }

func rawOrNil(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	return raw
}

// formatTime writes RFC 3339 in UTC with microseconds.
func formatTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

func formatOrNil(at *time.Time) any {
	if at == nil {
		return nil
	}
	return formatTime(*at)
}

// formatKnown is formatTime for a time that may not be known yet. The zero
// time is also the earliest execution time, and so tells nothing there.
func formatKnown(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return formatTime(at)
}
