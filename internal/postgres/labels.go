package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// labelsText is the text of an array of labels, or nil: an array of arrays cannot be of
// different lengths.
func labelsText(labels task.Labels) *string {
	if labels == nil {
		return nil
	}
	var text strings.Builder
	for i, label := range labels {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteByte('"')
		_, _ = labelEscapes.WriteString(&text, label) // a builder never fails
		text.WriteByte('"')
	}
	array := "{" + text.String() + "}"
	return &array
}

// A statement that creates tasks notes their labels too. creating are its forms: for drafts without
// labels, which pay nothing for those of others, and for drafts of which some have labels.
type creating struct{ plain, labelled string }

// noting makes the forms of a statement whose table inserted has what returning returns.
func noting(statement func(returning, noted string) string) creating {
	return creating{plain: statement(` RETURNING id`, ""), labelled: statement(` RETURNING id, labels`, notedBy("inserted"))}
}

func (c creating) of(drafts []task.Draft) string {
	if slices.ContainsFunc(drafts, func(d task.Draft) bool { return d.Labels != nil }) {
		return c.labelled
	}
	return c.plain
}

// notedBy notes the labels of what a part of the same statement has created, and returns. No label of
// a new task is there: to look for one first would cost as much again.
func notedBy(part string) string {
	return `, noted AS (
		INSERT INTO task_labels (label, id)
		SELECT label, ` + part + `.id FROM ` + part + ` CROSS JOIN unnest(` + part + `.labels) AS label
	)`
}

// walkLabel finds the tasks of one label, newest first.
const walkLabel = `
	SELECT id, 'epoch'::timestamptz, true, false FROM task_labels
	WHERE label = (@labels::text[])[1] AND id < @before AND id >= @from
	ORDER BY label DESC, id DESC LIMIT @want`

// leapLabels finds the tasks of several labels, or of labels and open, newest first. Each of these
// is a list of ids in order. From an id, the next list is asked for its first that is not newer;
// where all of them name the same, a task matches. So a list is left out as far as another one
// has nothing, and the steps are no more than the shortest one makes of the others.
const leapLabels = `
	WITH RECURSIVE leap (n, list, id, agreed) AS (
		SELECT 0, 0, @before::uuid, @lists::int
		UNION ALL
		SELECT leap.n + 1, (leap.list + 1) % @lists::int, next.id,
		       CASE WHEN next.id = leap.id AND leap.agreed < @lists::int THEN leap.agreed + 1 ELSE 1 END
		FROM leap CROSS JOIN LATERAL (
			(SELECT l.id FROM task_labels l
			 WHERE leap.list < cardinality(@labels::text[]) AND leap.agreed < @lists::int
			       AND l.label = (@labels::text[])[leap.list + 1] AND l.id <= leap.id AND l.id >= @from
			 ORDER BY l.label DESC, l.id DESC LIMIT 1)
			UNION ALL
			(SELECT l.id FROM task_labels l
			 WHERE leap.list < cardinality(@labels::text[]) AND leap.agreed = @lists::int
			       AND l.label = (@labels::text[])[leap.list + 1] AND l.id < leap.id AND l.id >= @from
			 ORDER BY l.label DESC, l.id DESC LIMIT 1)
			UNION ALL
			(SELECT o.id FROM tasks_open o
			 WHERE leap.list = cardinality(@labels::text[]) AND leap.agreed < @lists::int AND o.id <= leap.id AND o.id >= @from
			 ORDER BY o.id DESC LIMIT 1)
			UNION ALL
			(SELECT o.id FROM tasks_open o
			 WHERE leap.list = cardinality(@labels::text[]) AND leap.agreed = @lists::int AND o.id < leap.id AND o.id >= @from
			 ORDER BY o.id DESC LIMIT 1)
		) next
		WHERE leap.n < @look
	)
	SELECT id, 'epoch'::timestamptz, agreed = @lists::int, n = @look FROM leap
	WHERE n > 0 AND (agreed = @lists::int OR n = @look) LIMIT @want`

// walkLabels finds tasks by their labels alone, and if they are open where that is asked for.
func (db *DB) walkLabels(ctx context.Context, f *task.Filter, args pgx.NamedArgs, want int) (walked, error) {
	lists := len(f.Labels)
	if f.Status == task.Submitted || f.Status == task.Started {
		lists++
	}
	args["lists"] = lists
	if lists == 1 {
		return db.walk(ctx, walkLabel, args, want)
	}
	w, err := db.walk(ctx, leapLabels, args, want)
	if n := len(w.places); w.cut != nil && (n == 0 || w.places[n-1].ID != w.cut.ID) {
		// The last id was not asked of every list: the next walk begins with it.
		w.cut.ID = successor(w.cut.ID)
	}
	return w, err
}

// maxProbed is how many tasks with the labels are looked at for what else they have to match.
const maxProbed = 1000

// listLabelled is for labels, newest first.
func (db *DB) listLabelled(ctx context.Context, f *task.Filter) (page task.Page, err error) {
	r := placesReader{f: f}
	args := arguments(f)
	for probed, least := 0, 1; ; least *= 4 {
		want := max(f.Limit+1-len(r.tasks), min(least, maxProbed-probed))
		w, err := db.walkLabels(ctx, f, args, want)
		if err != nil {
			return page, err
		}
		read, err := r.read(ctx, db, w.places)
		if err != nil {
			return page, err
		}
		probed += read
		switch n := len(r.tasks); {
		case n > f.Limit:
			page.Next = &task.Place{ID: r.at[f.Limit-1].ID}
			r.tasks = r.tasks[:f.Limit]
		case read < len(w.places):
			page.Next = &task.Place{ID: w.places[read-1].ID}
		case w.cut != nil:
			page.Next = &task.Place{ID: w.cut.ID}
		case len(w.places) < want:
		case probed >= maxProbed:
			page.Next = &task.Place{ID: w.places[read-1].ID}
		default:
			args["before"] = w.places[read-1].ID
			continue
		}
		page.Tasks = r.tasks
		return page, nil
	}
}

// gatherDue finds all open tasks of some labels and puts them in the order of due times, unless
// they are too many: then they are met soon enough along the due times.
func (db *DB) gatherDue(ctx context.Context, f *task.Filter, args pgx.NamedArgs) (w walked, all bool, err error) {
	found, err := db.walkLabels(ctx, f, args, maxProbed)
	if err != nil || found.cut != nil || len(found.places) == maxProbed {
		return w, false, err
	}
	ids := make([]task.ID, len(found.places))
	for i := range found.places {
		ids[i] = found.places[i].ID
	}
	args["ids"] = uuids(ids)
	rows, err := db.reads.Query(ctx, dueOfPlaces, args)
	if err != nil {
		return w, false, err
	}
	var p task.Place
	_, err = pgx.ForEachRow(rows, []any{scanUUID(&p.ID), &p.DueAt}, func() error {
		if f.After == (task.Place{}) || isAfter(p, f.After.DueAt, f.After.ID) {
			w.places = append(w.places, p)
		}
		return nil
	})
	sortDue(w.places)
	return w, true, err
}

var dueOfPlaces = placesOf("t.id, t.due_at", "tasks_open")

// successor is the next id.
func successor(id task.ID) task.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}
