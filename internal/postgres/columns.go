package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/timewheel/timewheel/internal/task"
)

// column is one column of the table tasks, with all that the statements need to know of
// it. A new field of a task is one more entry of taskColumns.
type column struct {
	name string
	// scan is where the driver puts the column of a row that is read as a task. Nil: it
	// is not read.
	scan func(*task.Task) any
	// started is whether a start returns the column, and startedAs the expression that
	// it returns instead of the column as it is.
	started   bool
	startedAs string
	// create is nil unless the client sets the column.
	create *createColumn
	// change is the value that a change gives to the column, and whether it does. Nil: no
	// change does.
	change func(*task.Change) (value any, set bool)
	// changed is whether a task that was changed has that value.
	changed func(*task.Task, *task.Change) bool
}

// createColumn is how a column gets its value from drafts.
type createColumn struct {
	// array is the type of the array that holds the values of all drafts, and cast what
	// each value is cast to, if anything.
	array, cast string
	// values makes that array. Values that are all missing are nil, which unnest takes
	// for as many NULLs as there are ids.
	values func([]task.Draft) any
	// names is whether a task that exists is found by the column, and compared whether
	// another value under the same idempotency key is another task. lookUp compares what
	// SQL cannot. Of a column that may be NULL, nullable, NULL is a value like others.
	names, compared, nullable bool
	// asked makes the array for lookUp, if it is not the one of values. A nil is not
	// compared.
	asked func([]task.Draft) any
	// digest is the value in the digest of a bulk create. Nil, or a nil value: it is
	// left out.
	digest func(*task.Draft) []byte
	// retried is the value in a task that repeats another one, t, if it is not the same: $2
	// to $4 are the id, the idempotency key and the trace of the new one.
	retried string
}

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

// The lists that the statements are made from, in the order of taskColumns.
var (
	readColumns, readScans       = selection(func(c column) bool { return c.scan != nil }, column.plain)
	rowColumns, _                = selection(func(column) bool { return true }, column.plain)
	startedColumns, startedScans = selection(func(c column) bool { return c.started }, column.ofStart)
	createColumns                = draftColumnsBy(func(*createColumn) bool { return true })
	lookUpColumns                = draftColumnsBy(func(c *createColumn) bool { return c.names || c.compared })
	comparedColumns              = draftColumnsBy(func(c *createColumn) bool { return c.compared })
	replacedColumns              = draftColumnsBy(func(c *createColumn) bool { return !c.names })
)

func (c column) plain() string { return "t." + c.name }

func (c column) ofStart() string {
	if c.startedAs != "" {
		return c.startedAs + " AS " + c.name
	}
	return c.plain()
}

func selection(chosen func(column) bool, expression func(column) string) (list string, scans []func(*task.Task) any) {
	var expressions []string
	for _, c := range taskColumns {
		if chosen(c) {
			expressions = append(expressions, expression(c))
			scans = append(scans, c.scan)
		}
	}
	return strings.Join(expressions, ", "), scans
}

// targets are where the driver puts a row of such columns, and then more.
func targets(t *task.Task, scans []func(*task.Task) any, more ...any) []any {
	all := make([]any, 0, len(scans)+len(more))
	for _, scan := range scans {
		all = append(all, scan(t))
	}
	return append(all, more...)
}

// draftColumns are the columns of drafts that a statement takes.
type draftColumns []column

func draftColumnsBy(chosen func(*createColumn) bool) (columns draftColumns) {
	for _, c := range taskColumns {
		if c.create != nil && chosen(c.create) {
			columns = append(columns, c)
		}
	}
	return columns
}

// list joins what an expression makes of each column. n counts from 1.
func (columns draftColumns) list(separator string, expression func(n int, c column) string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = expression(i+1, c)
	}
	return strings.Join(parts, separator)
}

func (columns draftColumns) names() string {
	return columns.list(", ", func(_ int, c column) string { return c.name })
}

// unnest takes the arguments, and gives a row per draft.
func (columns draftColumns) unnest() string {
	return "unnest(" + columns.list(", ", func(n int, c column) string { return fmt.Sprintf("$%d::%s", n, c.create.array) }) + ")"
}

// arguments are drafts as the arrays that unnest takes.
func (columns draftColumns) arguments(drafts []task.Draft) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = c.create.values(drafts)
	}
	return all
}

// asking are drafts as the arrays that lookUp compares.
func (columns draftColumns) asking(drafts []task.Draft) []any {
	all := columns.arguments(drafts)
	for i, c := range columns {
		if c.create.asked != nil {
			all[i] = c.create.asked(drafts)
		}
	}
	return all
}

func each[T any](value func(*task.Draft) T) func([]task.Draft) any {
	return func(drafts []task.Draft) any {
		values := make([]T, len(drafts))
		for i := range drafts {
			values[i] = value(&drafts[i])
		}
		return values
	}
}

// optional is for a T that has nil for NULL.
func optional[T any](value func(*task.Draft) (T, bool)) func([]task.Draft) any {
	return func(drafts []task.Draft) any {
		var values []T
		for i := range drafts {
			if v, given := value(&drafts[i]); given {
				put(&values, len(drafts), i, v)
			}
		}
		return values
	}
}

// put sets one value of a column of n, and makes the column for the first.
func put[T any](column *[]T, n, i int, value T) {
	if *column == nil {
		*column = make([]T, n)
	}
	(*column)[i] = value
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
