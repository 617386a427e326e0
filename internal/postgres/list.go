package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// pageBytes is how much payload and result a page of a list holds before it is
// cut short, in bytes. The last task of a page may reach beyond.
const pageBytes = 4 << 20

// List reads one page. It has at most f.Limit tasks, and fewer if they are large. Its cost
// depends on the size of the page and on the number of task types, not on how many tasks there
// are: each query walks an index from where the page begins, and stops at the limit or when it
// has looked at so many tasks that do not match. Then the page is short, and goes on from there.
// started_executing also costs by what runs right now. The error is task.ErrUnavailable.
func (db *DB) List(ctx context.Context, f task.Filter) (page task.Page, err error) {
	if f.Status != "" && !f.Status.Valid() || f.Labels.Contradict() || f.Types != nil && len(f.Types) == 0 {
		return page, nil // No task has it.
	}
	if field, why := f.Missing(); field != "" {
		return page, &task.RejectedError{Reason: field + " " + why}
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "list tasks", func(ctx context.Context) (err error) {
		page, err = db.list(ctx, &f)
		return err
	})
	return page, err
}

func (db *DB) list(ctx context.Context, f *task.Filter) (task.Page, error) {
	windows := f.Due != task.Window{} || f.Created != task.Window{}
	switch {
	case f.Order == task.SoonestDue:
		return db.listDue(ctx, f)
	case f.Status == task.Started:
		return db.listPlain(ctx, f)
	case f.Labels != nil:
		return db.listLabelled(ctx, f)
	case windows:
		return db.listWindow(ctx, f)
	}
	return db.listPlain(ctx, f)
}

// matches is whether the row t passes a filter.
const matches = `(@status = '' OR t.status = @status) AND (@type = '' OR t.task_type = @type)
		      AND (@types::text[] IS NULL OR t.task_type = ANY(@types::text[]))
		      AND t.due_at >= coalesce(@due_start::timestamptz, '-infinity') AND t.due_at < coalesce(@due_end::timestamptz, 'infinity')
		      AND t.created_at >= coalesce(@created_start::timestamptz, '-infinity')
		      AND t.created_at < coalesce(@created_end::timestamptz, 'infinity')
		      AND (@labels::text[] IS NULL OR t.labels @> @labels::text[])`

// arguments are those of matches, and where a list of the newest first begins and ends.
func arguments(f *task.Filter) pgx.NamedArgs {
	from, before := idsOf(f.Created)
	if f.Order != task.SoonestDue && f.After.ID != uuid.Nil && isLess(f.After.ID, before) {
		before = f.After.ID
	}
	return pgx.NamedArgs{
		"status": string(f.Status), "type": f.Type, "types": f.Types, "labels": []string(f.Labels),
		"due_start": f.Due.Start, "due_end": f.Due.End, "created_start": f.Created.Start, "created_end": f.Created.End,
		"from": from, "before": before,
	}
}

// The time in an id is that of the API's clock, before the task is committed; created_at is
// that of Postgres. A list looks at ids so much later and earlier than a window of created_at.
const (
	clockError  = 5 * time.Second
	commitDelay = 15 * time.Second
)

// idsOf are the bounds of the ids of what was created in a window; the end is not included.
func idsOf(w task.Window) (from, before task.ID) {
	before = uuid.Max
	if w.Start != nil {
		from = firstID(w.Start.Add(-commitDelay))
	}
	if w.End != nil {
		before = firstID(w.End.Add(clockError))
	}
	return from, before
}

// firstID is less than every id that was made from a time on.
func firstID(at time.Time) (id task.ID) {
	const bits = 48
	ms := uint64(min(max(at.UnixMilli(), 0), 1<<bits-1))
	for i := range bits / 8 {
		id[i] = byte(ms >> (bits - 8 - 8*i)) //nolint:gosec // the lowest byte of what is left
	}
	return id
}

func isLess(a, b task.ID) bool { return string(a[:]) < string(b[:]) }

// listPlain is for a filter that an index holds.
func (db *DB) listPlain(ctx context.Context, f *task.Filter) (page task.Page, err error) {
	args := arguments(f)
	query := listEnded
	if f.Type != "" {
		args["types"] = []string{f.Type}
	}
	switch f.Status {
	case "":
		args["outcomes"] = []string{"open", "done", "failed", "deleted"}
		query = listOfType
		if f.Type == "" && f.Types == nil {
			query = listAll
		}
	case task.Submitted:
		args["outcomes"] = []string{"open"}
		query = listOpen
	case task.Started:
		query = listStarted
	default:
		args["outcomes"] = []string{string(f.Status)}
	}
	var more bool
	page.Tasks, more, err = db.readPage(ctx, query, args, f.Limit)
	if more {
		page.Next = &task.Place{ID: page.Tasks[len(page.Tasks)-1].ID}
	}
	return page, err
}

// firstRows is how many tasks the first statement for a page reads: most pages need
// no second one, and the largest tasks are no more than 13 MB.
const firstRows = task.DefaultPage + 1

// readPage reads tasks until there are limit of them or they fill a page. It asks for
// some, and for as many more as are likely to fit: what a statement returns has to be
// read to its end, or the connection is lost.
func (db *DB) readPage(ctx context.Context, query string, args pgx.NamedArgs, limit int) (page []task.Task, more bool, err error) {
	size := 0
	for rows := min(firstRows, limit+1); ; {
		args["limit"] = rows
		read, cut := 0, false
		err := db.readRows(ctx, query, args, func(t *task.Task) {
			read++
			if cut = cut || len(page) == limit || size >= pageBytes; cut {
				return
			}
			size += len(t.Payload) + len(t.Result)
			page = append(page, *t)
		})
		if err != nil || cut || read < rows {
			return page, cut, err
		}
		args["before"] = page[len(page)-1].ID
		each := size/len(page) + 1
		rows = min(limit+1-len(page), (pageBytes-min(size, pageBytes))/each+1)
	}
}

func (db *DB) readRows(ctx context.Context, query string, args pgx.NamedArgs, take func(*task.Task)) error {
	rows, err := db.reads.Query(ctx, query, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t task.Task
		if err := scan(rows, &t); err != nil {
			return err
		}
		take(&t)
	}
	return rows.Err()
}

var listAll = `
	SELECT ` + readColumns + ` FROM tasks t
	WHERE t.id < @before
	ORDER BY t.id DESC LIMIT @limit`

// One index head for each outcome and type that may match, merged. Types that are
// not given are found by hopping from one to the next along the same index, so a type
// that no code knows any more is listed too. Both steps bound task_type by a
// range, and the second names it in its order, where an equality would do: that
// keeps the planner from the primary key, whose price stale statistics hide.
func listByIndex(table string) string {
	return strings.ReplaceAll(`
	WITH RECURSIVE head (outcome, task_type) AS (
		SELECT o, coalesce(given, (SELECT min(task_type) FROM TASKS WHERE outcome = o))
		FROM unnest(@outcomes::text[]::task_outcome[]) o CROSS JOIN unnest(coalesce(@types::text[], '{NULL}')) AS given
		UNION ALL
		SELECT outcome, (SELECT min(t.task_type) FROM TASKS t WHERE t.outcome = head.outcome AND t.task_type > head.task_type)
		FROM head WHERE head.task_type IS NOT NULL AND @types::text[] IS NULL
	)
	SELECT `+readColumns+`
	FROM head
	CROSS JOIN LATERAL (
		SELECT * FROM TASKS
		WHERE outcome = head.outcome AND task_type >= head.task_type AND (task_type, id) < (head.task_type, @before)
		      AND (@status = '' OR status = @status)
		ORDER BY task_type DESC, id DESC LIMIT @limit) t
	WHERE head.task_type IS NOT NULL
	ORDER BY t.id DESC LIMIT @limit`, "TASKS", table)
}

var listOfType, listOpen, listEnded = listByIndex("tasks"), listByIndex("tasks_open"), listByIndex("tasks_ended")

// What runs now is found by the receipts of the starts.
var listStarted = `
	SELECT ` + readColumns + `
	FROM (
		SELECT DISTINCT id FROM starts CROSS JOIN unnest(task_ids) AS id
		WHERE id < @before
		ORDER BY id DESC
	) running
	CROSS JOIN LATERAL (
		SELECT * FROM tasks_open
		WHERE tasks_open.id = running.id AND tasks_open.status = 'started_executing'
		OFFSET 0) t
	WHERE ` + matches + `
	ORDER BY running.id DESC LIMIT @limit`
