package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/timewheel/timewheel/internal/task"
)

var taskColumns = []column{
	{
		name: "id", started: true, scan: func(t *task.Task) any { return scanUUID(&t.ID) },
		create: &createColumn{array: "uuid[]", names: true, retried: "$2", values: each(func(d *task.Draft) pgtype.UUID {
			return pgtype.UUID{Bytes: d.ID, Valid: true}
		})},
	},
	{
		name: "task_type", started: true, scan: func(t *task.Task) any { return &t.Type },
		create: &createColumn{
			array: "text[]", compared: true, values: each(func(d *task.Draft) string { return d.Type }),
			digest: func(d *task.Draft) []byte { return []byte(d.Type) },
		},
	},
	{name: "status", scan: func(t *task.Task) any { return &t.Status }},
	{
		name: "execution_time", started: true, scan: func(t *task.Task) any { return &t.ExecutionTime },
		create: &createColumn{
			array: "timestamptz[]", compared: true, retried: "statement_timestamp()", values: each(func(d *task.Draft) time.Time { return d.ExecutionTime }),
			digest: func(d *task.Draft) []byte {
				return binary.BigEndian.AppendUint64(nil, uint64(d.ExecutionTime.UnixMicro()))
			},
		},
		change:  func(to *task.Change) (any, bool) { return to.ExecutionTime, to.ExecutionTime != nil },
		changed: func(t *task.Task, to *task.Change) bool { return t.ExecutionTime.Equal(*to.ExecutionTime) },
	},
	{name: "due_at", started: true, scan: func(t *task.Task) any { return &t.DueAt }},
	{name: "created_at", started: true, scan: func(t *task.Task) any { return &t.CreatedAt }},
	{name: "attempt", started: true, scan: func(t *task.Task) any { return &t.Attempt }},
	{
		name: "max_attempts", started: true, scan: func(t *task.Task) any { return &t.MaxAttempts },
		create: &createColumn{
			array: "int[]", compared: true,
			values: each(func(d *task.Draft) int32 { return int32(d.MaxAttempts) }),
			asked: optional(func(d *task.Draft) (*int32, bool) {
				n := int32(d.MaxAttempts)
				return &n, !d.AttemptsByType
			}),
			digest: func(d *task.Draft) []byte {
				if d.AttemptsByType {
					return nil
				}
				return []byte(strconv.Itoa(d.MaxAttempts))
			},
		},
		change:  func(to *task.Change) (any, bool) { return to.MaxAttempts, to.MaxAttempts != 0 },
		changed: func(t *task.Task, to *task.Change) bool { return t.MaxAttempts == to.MaxAttempts },
	},
	{
		name: "not_after", scan: func(t *task.Task) any { return &t.NotAfter },
		create: &createColumn{
			array: "timestamptz[]", compared: true, nullable: true, retried: "CASE WHEN t.not_after > statement_timestamp() THEN t.not_after END",
			values: optional(func(d *task.Draft) (*time.Time, bool) { return d.NotAfter, d.NotAfter != nil }),
			digest: func(d *task.Draft) []byte { return tagged("not_after", d.NotAfter) },
		},
		change: func(to *task.Change) (any, bool) { return valueTo(to.NotAfter) },
		changed: func(t *task.Task, to *task.Change) bool {
			return to.NotAfter.Value == nil && t.NotAfter == nil || to.NotAfter.Value != nil && t.NotAfter != nil && t.NotAfter.Equal(*to.NotAfter.Value)
		},
	},
	{
		name: "skip_after",
		create: &createColumn{
			array: "timestamptz[]", retried: "NULL::timestamptz",
			values: optional(func(d *task.Draft) (*time.Time, bool) { return d.SkipAfter, d.SkipAfter != nil }),
		},
	},
	{
		name: "timeout", started: true, scan: func(t *task.Task) any { return &t.Timeout },
		create: &createColumn{
			array: "interval[]", compared: true, nullable: true,
			values: optional(func(d *task.Draft) (*time.Duration, bool) { return d.Timeout, d.Timeout != nil }),
			digest: func(d *task.Draft) []byte { return tagged("timeout", d.Timeout) },
		},
		change:  func(to *task.Change) (any, bool) { return valueTo(to.Timeout) },
		changed: func(t *task.Task, to *task.Change) bool { return equal(t.Timeout, to.Timeout.Value) },
	},
	{
		name: "retry", scan: func(t *task.Task) any { return retryOf{&t.Retry} },
		create: &createColumn{
			array: "text[]", cast: "jsonb", compared: true, nullable: true,
			values: optional(func(d *task.Draft) (*string, bool) { return retryText(d.Retry), d.Retry != nil }),
			digest: func(d *task.Draft) []byte { return tagged("retry", retryText(d.Retry)) },
		},
		change:  changeRetry,
		changed: func(t *task.Task, to *task.Change) bool { return equal(t.Retry, to.Retry.Value) },
	},
	{name: "worker_id", scan: func(t *task.Task) any { return (*zeronull.UUID)(&t.WorkerID) }},
	{name: "started_at", started: true, scan: func(t *task.Task) any { return (*zeronull.Timestamptz)(&t.StartedAt) }},
	{name: "finished_at", scan: func(t *task.Task) any { return (*zeronull.Timestamptz)(&t.FinishedAt) }},
	{
		name: "payload", scan: func(t *task.Task) any { return (*[]byte)(&t.Payload) },
		started: true, startedAs: `CASE WHEN octet_length(t.payload::text) < 8192 THEN t.payload END`,
		create: &createColumn{
			array: "text[]", cast: "json",
			values: optional(func(d *task.Draft) ([]byte, bool) { return d.Payload, d.Payload != nil }),
			digest: canonicalPayload,
		},
		change:  func(to *task.Change) (any, bool) { return textOf(to.Payload), to.SetPayload },
		changed: func(t *task.Task, to *task.Change) bool { return bytes.Equal(t.Payload, to.Payload) },
	},
	{
		name: "labels", scan: func(t *task.Task) any { return (*[]string)(&t.Labels) }, started: true,
		create: &createColumn{
			array: "text[]", cast: "text[]", compared: true, nullable: true,
			values: optional(func(d *task.Draft) (*string, bool) { return labelsText(d.Labels), d.Labels != nil }),
			digest: func(d *task.Draft) []byte {
				if d.Labels == nil {
					return nil
				}
				return []byte("labels " + strings.Join(d.Labels, "\x00"))
			},
		},
		change:  func(to *task.Change) (any, bool) { return labelsText(to.Labels), to.SetLabels },
		changed: func(t *task.Task, to *task.Change) bool { return slices.Equal(t.Labels, to.Labels) },
	},
	{name: "changes", scan: func(t *task.Task) any { return (*zeronull.Int4)(&t.Changes) }},
	{
		name: "traceparent", started: true, scan: func(t *task.Task) any { return (*zeronull.Text)(&t.TraceParent) },
		create: &createColumn{
			array: "text[]", retried: "$4",
			values: optional(func(d *task.Draft) (*string, bool) { return &d.TraceParent, d.TraceParent != "" }),
		},
	},
	{name: "cancel_requested_at", scan: func(t *task.Task) any { return (*zeronull.Timestamptz)(&t.CancelRequestedAt) }},
	{name: "retry_of", scan: func(t *task.Task) any { return (*zeronull.UUID)(&t.RetryOf) }},
	{name: "earlier_attempts"},
	{name: "result", scan: func(t *task.Task) any { return (*[]byte)(&t.Result) }},
	{name: "failure_code", scan: func(t *task.Task) any { return failureCode{t} }},
	{name: "failure_message", scan: func(t *task.Task) any { return failureMessage{t} }},
	{
		name: "idempotency_key",
		create: &createColumn{
			array: "text[]", names: true, retried: "$3",
			values: optional(func(d *task.Draft) (*string, bool) { return &d.Key, d.Key != "" }),
		},
	},
}

// canonicalPayload has the members in order and no space between them.
func canonicalPayload(d *task.Draft) []byte {
	value, ok := decodeExactly(d.Payload)
	canonical, err := json.Marshal(value)
	if !ok || err != nil {
		return append([]byte{}, d.Payload...)
	}
	return canonical
}

// failureCode and failureMessage make a failure of two columns that are NULL without
// one.
type (
	failureCode    struct{ t *task.Task }
	failureMessage struct{ t *task.Task }
)

// ScanText implements pgtype.TextScanner.
func (f failureCode) ScanText(code pgtype.Text) error {
	if code.Valid {
		failureOf(f.t).Code = task.Code(code.String)
	}
	return nil
}

// ScanText implements pgtype.TextScanner.
func (f failureMessage) ScanText(message pgtype.Text) error {
	if message.Valid {
		failureOf(f.t).Message = message.String
	}
	return nil
}

func failureOf(t *task.Task) *task.Failure {
	if t.Failure == nil {
		t.Failure = new(task.Failure)
	}
	return t.Failure
}
