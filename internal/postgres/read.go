package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// readTimeout bounds a look at tasks: whoever asked must get an answer.
const readTimeout = 8 * time.Second

// Get reads one task. The error is task.ErrNotFound or task.ErrUnavailable.
func (db *DB) Get(ctx context.Context, id task.ID) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var found task.Task
	err := db.retryRead(ctx, "get task", func(ctx context.Context) error {
		err := scan(db.reads.QueryRow(ctx, `SELECT `+readColumns+` FROM tasks t WHERE t.id = $1`, id), &found)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// pageBytes is how much payload and result a page of a list holds before it is
// cut short, in bytes. The last task of a page may reach beyond.
const pageBytes = 4 << 20

// List reads one page, newest first, and whether there is more after it. A page
// has at most f.Limit tasks, fewer if they are large, and one at least if there
// is one. Its cost depends on the size of the page and on the number of task
// types, not on how many tasks there are: each query walks index heads and
// stops at the limit. started_executing alone also costs by what runs right
// now. The error is task.ErrUnavailable.
func (db *DB) List(ctx context.Context, f task.Filter) (page task.Page, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	before := f.After.ID
	if before == uuid.Nil {
		before = uuid.Max
	}
	var outcomes []string
	query := listEnded
	switch f.Status {
	case "":
		outcomes = []string{"open", "done", "failed", "deleted"}
		query = listOfType
		if f.Type == "" {
			query = listAll
		}
	case task.Submitted:
		outcomes = []string{"open"}
		query = listOpen
	case task.Started:
		query = listStarted
	case task.Done, task.Failed, task.Deleted:
		outcomes = []string{string(f.Status)}
	default:
		return page, nil // No task has it.
	}
	err = db.retryRead(ctx, "list tasks", func(ctx context.Context) (err error) {
		var more bool
		page.Tasks, more, err = db.readPage(ctx, query, pgx.NamedArgs{
			"before": before, "limit": 0, "outcomes": outcomes, "type": f.Type, "status": string(f.Status),
		}, f.Limit)
		if more {
			page.Next = &task.Place{ID: page.Tasks[len(page.Tasks)-1].ID}
		}
		return err
	})
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

// One index head for each outcome and type that may match, merged. The types
// are found by hopping from one to the next along the same index, so a type
// that no code knows any more is listed too. Both steps bound task_type by a
// range, and the second names it in its order, where an equality would do: that
// keeps the planner from the primary key, whose price stale statistics hide.
func listByIndex(table string) string {
	return strings.ReplaceAll(`
	WITH RECURSIVE head (outcome, task_type) AS (
		SELECT o, (SELECT min(task_type) FROM TASKS WHERE outcome = o AND task_type >= @type)
		FROM unnest(@outcomes::text[]::task_outcome[]) o
		UNION ALL
		SELECT outcome, (SELECT min(t.task_type) FROM TASKS t WHERE t.outcome = head.outcome AND t.task_type > head.task_type)
		FROM head WHERE head.task_type IS NOT NULL AND @type = ''
	)
	SELECT `+readColumns+`
	FROM head
	CROSS JOIN LATERAL (
		SELECT * FROM TASKS
		WHERE outcome = head.outcome AND task_type >= head.task_type AND (task_type, id) < (head.task_type, @before)
		      AND (@status = '' OR status = @status)
		ORDER BY task_type DESC, id DESC LIMIT @limit) t
	WHERE head.task_type = @type OR @type = '' AND head.task_type IS NOT NULL
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
		WHERE tasks_open.id = running.id AND status = 'started_executing' AND (@type = '' OR task_type = @type)
		OFFSET 0) t
	ORDER BY running.id DESC LIMIT @limit`

func scan(row pgx.Row, t *task.Task) error { return row.Scan(targets(t, readScans)...) }

func orZero[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func raw(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
