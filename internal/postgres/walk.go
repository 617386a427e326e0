package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// A walk looks for the places of the tasks that match, along an index and up to a bound. What is
// there is read afterwards.

// maxLooked is how many rows, or steps from one index to the next, a walk looks at.
const maxLooked = 5000

// walked is what a walk came to.
type walked struct {
	// places are where tasks match, in order.
	places []task.Place
	// cut is where the walk stopped, or nil: it came to the end, or has as many as were wanted.
	cut *task.Place
}

// walk issues a query of rows (id, due_at, hit, last): what matches, and the place of the last
// row that may be looked at, which may match or not.
func (db *DB) walk(ctx context.Context, query string, args pgx.NamedArgs, want int) (w walked, err error) {
	return db.walkSome(ctx, query, args, want, maxLooked)
}

// walkSome is walk with another bound.
func (db *DB) walkSome(ctx context.Context, query string, args pgx.NamedArgs, want, look int) (w walked, err error) {
	args["look"], args["want"] = look, want
	rows, err := db.reads.Query(ctx, query, args)
	if err != nil {
		return w, err
	}
	var p task.Place
	var hit, last bool
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&p.ID), &p.DueAt, &hit, &last}, func() error {
		if hit {
			w.places = append(w.places, p)
		}
		if last {
			place := p
			w.cut = &place
		}
		return nil
	})
	return w, err
}

// looking makes a query for walk of one that gives rows in order. Nothing is read beyond what
// is wanted.
func looking(ordered string) string { return lookingFor(matches, ordered) }

// lookingFor is looking with a condition of its own.
func lookingFor(hit, ordered string) string {
	return `
	SELECT id, due_at, hit, n = @look
	FROM (
		SELECT t.id, t.due_at, row_number() OVER () AS n, ` + hit + ` AS hit
		FROM (` + ordered + ` LIMIT @look) t
	) t
	WHERE hit OR n = @look LIMIT @want`
}

const walkColumns = `id, task_type, status, due_at, created_at, labels`

func walkByID(table string) string { return looking(orderedByID(table)) }

// orderedByID is what a walk by the id goes along.
func orderedByID(table string) string {
	return `
			SELECT ` + walkColumns + ` FROM ` + table + ` WHERE id < @before AND id >= @from ORDER BY id DESC`
}

// Both bounds name the type beside the id, as the order does: so only the index of both will do.
// What is in order already is merged as it is read.
func walkByType(outcomes ...string) string {
	arms := make([]string, len(outcomes))
	for i, outcome := range outcomes {
		table := "tasks_ended"
		if outcome == "open" {
			table = "tasks_open"
		}
		arms[i] = `
			(SELECT ` + walkColumns + ` FROM ` + table + `
			WHERE outcome = '` + outcome + `' AND (task_type, id) < (@type, @before) AND (task_type, id) >= (@type, @from)
			ORDER BY task_type DESC, id DESC)`
	}
	return looking(`SELECT * FROM (` + strings.Join(arms, ` UNION ALL `) + `) a ORDER BY task_type DESC, id DESC`)
}

var (
	walkAll, walkOpen, walkEnded = walkByID("tasks"), walkByID("tasks_open"), walkByID("tasks_ended")

	walkAllOfType = walkByType("open", "done", "failed", "deleted")
	walkOfType    = map[task.Status]string{
		task.Submitted: walkByType("open"), task.Done: walkByType("done"), task.Failed: walkByType("failed"), task.Deleted: walkByType("deleted"),
	}

	walkDue = looking(`
			SELECT ` + walkColumns + ` FROM tasks_open
			WHERE (due_at, id) > (@due, @after) AND due_at < coalesce(@due_end::timestamptz, 'infinity') ORDER BY due_at, id`)
)

// listWindow is for windows, in the order of creation.
func (db *DB) listWindow(ctx context.Context, f *task.Filter) (page task.Page, err error) {
	var query string
	switch {
	case f.Type != "" && f.Status == "":
		query = walkAllOfType
	case f.Type != "":
		query = walkOfType[f.Status]
	case f.Status == "":
		query = walkAll
	case f.Status == task.Submitted:
		query = walkOpen
	default:
		query = walkEnded
	}
	w, err := db.walk(ctx, query, arguments(f), f.Limit+1)
	if err != nil {
		return page, err
	}
	return db.pageOf(ctx, f, w)
}

// lookAhead is how many rows for each of a page are looked at before the tasks of labels are gathered.
const lookAhead = 20

// listDue is for the order of due times.
func (db *DB) listDue(ctx context.Context, f *task.Filter) (page task.Page, err error) {
	args := arguments(f)
	args["due"], args["after"] = f.After.DueAt, f.After.ID
	if f.After == (task.Place{}) {
		args["due"], args["after"] = task.MinTime, uuid.Nil
		if f.Due.Start != nil {
			args["due"] = *f.Due.Start
		}
	}
	if f.Labels != nil {
		// Labels that many have are met at once. Others are few, or are looked for far along.
		w, err := db.walkSome(ctx, walkDue, args, f.Limit+1, min(maxLooked, lookAhead*(f.Limit+1)))
		if err != nil || w.cut == nil || len(w.places) > f.Limit {
			return orPage(ctx, db, f, w, err)
		}
		w, all, err := db.gatherDue(ctx, f, args)
		if err != nil || all {
			return orPage(ctx, db, f, w, err)
		}
	}
	w, err := db.walk(ctx, walkDue, args, f.Limit+1)
	return orPage(ctx, db, f, w, err)
}

func orPage(ctx context.Context, db *DB, f *task.Filter, w walked, err error) (task.Page, error) {
	if err != nil {
		return task.Page{}, err
	}
	return db.pageOf(ctx, f, w)
}

// pageOf reads what a walk has found. One place more than the page holds tells that it goes on.
func (db *DB) pageOf(ctx context.Context, f *task.Filter, w walked) (page task.Page, err error) {
	next := w.cut
	if len(w.places) > f.Limit {
		w.places = w.places[:f.Limit]
		next = &w.places[f.Limit-1]
	}
	r := placesReader{f: f}
	read, err := r.read(ctx, db, w.places)
	if read < len(w.places) {
		next = &w.places[read-1]
	}
	page.Tasks, page.Next = r.tasks, next
	return page, err
}

// placesReader reads tasks by their places until they fill a page. What has changed meanwhile
// so that it does not match any more is left out.
type placesReader struct {
	f     *task.Filter
	tasks []task.Task
	// at is the place of each task, and size that of their payloads and results.
	at   []task.Place
	size int
}

func (r *placesReader) read(ctx context.Context, db *DB, places []task.Place) (read int, err error) {
	query := readPlaces
	switch r.f.Status {
	case "":
	case task.Submitted, task.Started:
		query = readOpenPlaces
	default:
		query = readEndedPlaces
	}
	for chunk := firstRows; read < len(places) && r.size < pageBytes; {
		part := places[read:min(read+chunk, len(places))]
		ids := make([]task.ID, len(part))
		for i := range part {
			ids[i] = part[i].ID
		}
		args := arguments(r.f)
		args["ids"] = uuids(ids)
		byID := make(map[task.ID]*task.Task, len(part))
		err := db.readRows(ctx, query, args, func(t *task.Task) { byID[t.ID] = t })
		if err != nil {
			return read, err
		}
		for i := 0; i < len(part) && r.size < pageBytes; i++ {
			read++
			if t := byID[part[i].ID]; t != nil {
				r.tasks, r.at = append(r.tasks, *t), append(r.at, part[i])
				r.size += len(t.Payload) + len(t.Result)
			}
		}
		if n := len(r.tasks); n > 0 {
			chunk = (pageBytes-min(r.size, pageBytes))/(r.size/n+1) + 1
		}
		chunk = min(chunk, maxChunk)
	}
	return read, nil
}

// maxChunk is how many tasks one statement reads by their ids.
const maxChunk = 500

// What is to match is looked at after the row was found by its id: no other index finds it.
func placesOf(columns, table string) string {
	return `
	SELECT ` + columns + `
	FROM unnest(@ids::uuid[]) AS place (id)
	CROSS JOIN LATERAL (SELECT * FROM ` + table + ` f WHERE f.id = place.id OFFSET 0) t
	WHERE ` + matches
}

var readPlaces, readOpenPlaces, readEndedPlaces = placesOf(readColumns, "tasks"), placesOf(readColumns, "tasks_open"), placesOf(readColumns, "tasks_ended")

// sortDue puts places in the order of due times.
func sortDue(places []task.Place) {
	slices.SortFunc(places, func(a, b task.Place) int {
		if c := a.DueAt.Compare(b.DueAt); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID[:]), string(b.ID[:]))
	})
}

// isAfter reports whether a place comes after another in the order of due times.
func isAfter(p task.Place, due time.Time, id task.ID) bool {
	c := p.DueAt.Compare(due)
	return c > 0 || c == 0 && isLess(id, p.ID)
}
