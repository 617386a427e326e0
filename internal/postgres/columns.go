package postgres

import (
	"fmt"
	"strings"

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
