package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// pickingArgs are those of matches for what an operation picks: of what there was when it was asked
// for. The walk goes from its place on.
func pickingArgs(o *task.Operation) pgx.NamedArgs {
	args := arguments(&o.Filter)
	args["before"], args["reach"] = o.Before, o.Reach
	if end := o.Filter.Created.End; end == nil || end.After(o.CreatedAt) {
		args["created_end"] = o.CreatedAt
	}
	return args
}

// withinReach is whether the operation may touch a task.
const withinReach = ` AND (@reach::text[] IS NULL OR EXISTS (SELECT FROM unnest(@reach::text[]) p WHERE starts_with(t.task_type, p)))`

// retriable is which ended tasks can be done again.
const retriable = ` AND t.status IN ('failed', 'deleted')`

var (
	walkRetriable       = lookingFor(matches+retriable, orderedByID("tasks_ended"))
	walkRetriableOfType = walkByType("failed", "deleted")

	placesRetriable = placesOf("t.id", "tasks_ended") + withinReach + retriable
	placesOpen      = placesOf("t.id", "tasks_open") + withinReach

	// walkStarted goes along the receipts of the starts.
	walkStarted = `
	SELECT running.id, t.due_at, true, false
	FROM (
		SELECT DISTINCT id FROM starts CROSS JOIN unnest(task_ids) AS id WHERE id < @before ORDER BY id DESC
	) running
	CROSS JOIN LATERAL (
		SELECT * FROM tasks_open WHERE tasks_open.id = running.id AND tasks_open.status = 'started_executing' OFFSET 0) t
	WHERE ` + matches + `
	ORDER BY running.id DESC LIMIT @want`
)

// Candidates looks from the place of an operation on for tasks that it picks, newest first. It looks
// at a few thousand tasks, and may find none among them and yet not be at the end. Tasks that
// do not match are none of the operation's, whatever becomes of them. The error is
// task.ErrUnavailable, or the operation has failed.
func (db *DB) Candidates(ctx context.Context, o *task.Operation) (found task.Candidates, err error) {
	if o.Filter.Labels.Contradict() {
		return task.Candidates{Next: o.Before, End: true}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	err = db.retryRead(ctx, "look for what an operation picks", func(ctx context.Context) (err error) {
		found, err = db.candidates(ctx, o)
		return err
	})
	return found, db.orFail(ctx, o, err)
}

func (db *DB) candidates(ctx context.Context, o *task.Operation) (found task.Candidates, err error) {
	var w walked
	args := pickingArgs(o)
	byLabel := o.Filter.Labels != nil && o.Filter.Status != task.Started
	if byLabel {
		w, err = db.walkOpenLabels(ctx, o, args)
	} else {
		w, err = db.walk(ctx, walkOf(o), args, maxLooked)
	}
	for i := range w.places {
		found.IDs = append(found.IDs, w.places[i].ID)
	}
	if err == nil && (byLabel || o.Reach != nil) {
		found.IDs, err = db.matchingOf(ctx, o, args, found.IDs)
	}
	switch {
	case err != nil:
	case w.cut != nil:
		found.Next = w.cut.ID
	case len(w.places) < maxLooked:
		found.Next, found.End = o.Before, true
	default:
		found.Next = w.places[maxLooked-1].ID
	}
	return found, err
}

// walkOf is the shortest way to what an operation picks without labels. What it goes along does
// not change with what the operation does.
func walkOf(o *task.Operation) string {
	retry := o.Action == task.ActionRetry
	switch {
	case o.Filter.Status == task.Started:
		return walkStarted
	case o.Filter.Type == "" && retry:
		return walkRetriable
	case o.Filter.Type == "":
		return walkOpen
	case !retry:
		return walkOfType[task.Submitted]
	case o.Filter.Status == "":
		return walkRetriableOfType
	default:
		return walkOfType[o.Filter.Status]
	}
}

// walkOpenLabels finds tasks by their labels, and those that are open where the action needs that.
func (db *DB) walkOpenLabels(ctx context.Context, o *task.Operation, args pgx.NamedArgs) (walked, error) {
	byLabel := task.Filter{Labels: o.Filter.Labels, Status: task.Submitted}
	if o.Action == task.ActionRetry {
		byLabel.Status = ""
	}
	return db.walkLabels(ctx, &byLabel, args, maxLooked)
}

// matchingOf are those of the tasks that match all of what the operation picks by.
func (db *DB) matchingOf(ctx context.Context, o *task.Operation, args pgx.NamedArgs, ids []task.ID) (matching []task.ID, err error) {
	query := placesOpen
	if o.Action == task.ActionRetry {
		query = placesRetriable
	}
	args["ids"] = uuids(ids)
	rows, err := db.reads.Query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	match := make(map[task.ID]bool, len(ids))
	var id task.ID
	if _, err := pgx.ForEachRow(rows, []any{scanUUID(&id)}, func() error { match[id] = true; return nil }); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ids, func(id task.ID) bool { return !match[id] }), nil
}
