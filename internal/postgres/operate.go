package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/timewheel/timewheel/internal/task"
)

// operateTimeout bounds a look at candidates, and a page.
const operateTimeout = 30 * time.Second

// Operate acts on a page of candidates (T5, T7, T8, or a create), in one statement that moves the
// operation on by this page. It holds the operation's row, and does so only if the operation still
// runs and is at the place that was read: of all copies of the statement, and of all nodes, one can.
// A task that is not as the action needs it is skipped. The error is task.ErrUnavailable,
// task.ErrUnknownOutcome, or the operation has failed.
func (db *DB) Operate(ctx context.Context, o *task.Operation, page task.OperationPage) (acted task.Acted, err error) {
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	args, err := pageArgs(o, &page)
	if err != nil {
		return acted, err
	}
	statement := pageStatements[kindOf(o)]
	query := statement.waiting
	err = db.retry(ctx, "act on a page of an operation", func(ctx context.Context) error {
		acted = task.Acted{}
		rows, err := db.pool.Query(ctx, query, args)
		if err == nil {
			err = collectActed(rows, &acted)
		}
		if ctx.Err() != nil {
			query = statement.unlocked
		}
		return err
	})
	return acted, db.orFail(ctx, o, err)
}

// orFail ends an operation with an error that is the server's last word.
func (db *DB) orFail(ctx context.Context, o *task.Operation, err error) error {
	if err == nil || errors.Is(err, task.ErrUnavailable) || errors.Is(err, task.ErrUnknownOutcome) {
		return err
	}
	return errors.Join(err, db.failOperation(ctx, o, err))
}

// reasonOf is why the server refused a statement, without what the statement was about.
func reasonOf(err error) string {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return "SQLSTATE " + refusal.Code
	}
	return "its log has more"
}

func pageArgs(o *task.Operation, page *task.OperationPage) (pgx.NamedArgs, error) {
	args := pickingArgs(o)
	args["op"], args["place"], args["next"], args["last"], args["left"] = o.ID, o.Before, page.Next, page.Last, page.Left
	args["ids"], args["at"], args["shift"] = uuids(page.IDs), o.ExecutionTime, o.Shift
	args["samples"] = task.MaxSamples
	args["least"], args["most"] = task.MinTime, task.MaxTime
	if o.Action == task.ActionRetry {
		fresh := make([]task.ID, len(page.IDs))
		for i := range fresh {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("make an id: %w", err)
			}
			fresh[i] = id
		}
		args["fresh"] = uuids(fresh)
	}
	return args, nil
}

func collectActed(rows pgx.Rows, acted *task.Acted) error {
	var id task.ID
	var taskType zeronull.Text
	var due *time.Time
	var delay *time.Duration
	var session zeronull.UUID
	told := map[uuid.UUID]bool{}
	_, err := pgx.ForEachRow(rows, []any{scanUUID(&id), &taskType, &due, &delay, &session}, func() error {
		switch worker := uuid.UUID(session); {
		case taskType == "":
			acted.Moved = true
		case worker != uuid.Nil:
			if !told[worker] {
				told[worker] = true
				acted.Told = append(acted.Told, worker)
			}
		case due != nil:
			acted.Due = append(acted.Due, task.Timed{Due: task.Due{ID: id, Type: string(taskType), At: *due}, In: *delay})
		default:
			acted.Ended = append(acted.Ended, task.Ref{ID: id, Type: string(taskType)})
		}
		return nil
	})
	return err
}

// pageKind is what a statement is for.
type pageKind struct {
	action task.Action
	dryRun bool
}

func kindOf(o *task.Operation) pageKind { return pageKind{o.Action, o.DryRun} }

// pageStatement waits for rows that others have locked, or passes them by: that is for a page
// that waited too long for one.
type pageStatement struct{ waiting, unlocked string }

var pageStatements = func() map[pageKind]pageStatement {
	all := map[pageKind]pageStatement{}
	for action, by := range pageActions {
		all[pageKind{action, false}] = pageStatement{by.statement(" FOR UPDATE"), by.statement(" FOR UPDATE SKIP LOCKED")}
		dry := by.dry().statement("")
		all[pageKind{action, true}] = pageStatement{dry, dry}
	}
	return all
}()

// pageAction is how an action is done with a page of tasks.
type pageAction struct {
	// before are parts of the statement that come first: for the locks that they take.
	before string
	// table has the tasks, and lock is whether their rows are to be held.
	table string
	lock  bool
	// refuses is why a task that matches is skipped, or NULL.
	refuses string
	// acts are parts of the statement, of which acted has a row for each task that the action was
	// done with, named of.
	acts string
}

// dry counts what would be done.
func (a pageAction) dry() pageAction {
	a.acts = `, acted AS (
		SELECT id AS of, id, ''::text AS task_type, NULL::timestamptz AS due_at, NULL::interval AS delay, NULL::uuid AS session FROM looked WHERE reason IS NULL
	)`
	return a
}

// statement holds the tasks in the order of their ids, as a start does. It reads their rows when it
// has them, so what it decides by is as it is; and it comes to them by their ids alone. What has
// become of those that are not there is not looked at, but for the samples.
func (a pageAction) statement(lock string) string {
	if !a.lock {
		lock = ""
	}
	return `
	WITH op AS MATERIALIZED (
		SELECT id, jsonb_array_length(samples) AS samples FROM operations o
		WHERE id = @op AND finished_at IS NULL AND before = @place AND ` + keyIsGood + ` FOR NO KEY UPDATE OF o
	)` + a.before + `, held AS MATERIALIZED (
		SELECT id, task_type, status, due_at, created_at, labels, not_after FROM ` + a.table + `
		WHERE id = ANY(ARRAY(SELECT unnest(@ids::uuid[]) FROM op)) ORDER BY id` + lock + `
	), looked AS MATERIALIZED (
		SELECT t.id, t.status, CASE WHEN (` + matches + withinReach + `) IS NOT TRUE THEN '` + task.SkipChanged + `' ELSE ` + a.refuses + ` END AS reason FROM held t
	)` + a.acts + `, samples AS (
		SELECT coalesce(jsonb_agg(jsonb_build_object('task_id', id, 'reason', coalesce(
		           (SELECT reason FROM looked WHERE looked.id = missed.id),
		           (SELECT CASE WHEN status IN ('submitted', 'started_executing') THEN '` + task.SkipChanged + `' ELSE status END
		            FROM tasks WHERE tasks.id = missed.id),
		           '` + task.SkipGone + `'))), '[]') AS list
		FROM (SELECT unnest(@ids::uuid[]) AS id EXCEPT SELECT of FROM acted LIMIT greatest(0, @samples - (SELECT samples FROM op))) missed
	), moved AS (
		UPDATE operations o SET
			state = CASE WHEN @last THEN 'done' ELSE 'running' END, before = @next, remaining = @left,
			done = o.done + n.done, skipped = o.skipped + cardinality(@ids::uuid[]) - n.done, samples = o.samples || samples.list,
			started_at = coalesce(o.started_at, clock_timestamp()), finished_at = CASE WHEN @last THEN clock_timestamp() END
		FROM op, (SELECT count(*) AS done FROM acted) n, samples
		WHERE o.id = op.id
		RETURNING o.id
	)
	SELECT id, task_type, due_at, delay, session FROM acted WHERE task_type <> ''
	UNION ALL SELECT id, NULL, NULL, NULL, NULL FROM moved`
}

// unlessSubmitted is the status of a task that has started.
const unlessSubmitted = `CASE WHEN t.status <> 'submitted' THEN t.status END`

const toBeDone = `t.id = ANY(ARRAY(SELECT id FROM looked WHERE reason IS NULL))`

var pageActions = map[task.Action]pageAction{
	task.ActionCancel: cancelPage, task.ActionRetry: retryPage,
	task.ActionDelete: {
		table: "tasks_open", lock: true, refuses: unlessSubmitted,
		acts: deletePart(toBeDone) + `, acted AS (
		SELECT id AS of, id, task_type, NULL::timestamptz AS due_at, NULL::interval AS delay, NULL::uuid AS session FROM ended
	)`,
	},
	task.ActionRun: {
		table: "tasks_open", lock: true, refuses: unlessSubmitted,
		acts: movePart("statement_timestamp()"),
	},
	task.ActionReschedule: {
		table: "tasks_open", lock: true,
		refuses: `CASE WHEN t.status <> 'submitted' THEN t.status
			WHEN ` + movedTo + ` > t.not_after THEN '` + task.SkipNotAfter + `'
			WHEN ` + movedTo + ` NOT BETWEEN @least AND @most THEN '` + task.SkipOutOfRange + `' END`,
		acts: movePart(movedTo),
	},
}

// movedTo is when a task is due that is rescheduled.
const movedTo = `coalesce(@at::timestamptz, t.due_at + @shift::interval)`

// movePart changes the time of tasks, as changeOf does.
func movePart(at string) string {
	return `, acted AS (
		UPDATE tasks_open t SET execution_time = ` + at + `, due_at = ` + at + `, skip_after = NULL, changes = coalesce(t.changes, 0) + 1
		WHERE ` + toBeDone + `
		RETURNING t.id AS of, t.id, t.task_type, t.due_at, t.due_at - clock_timestamp() AS delay, NULL::uuid AS session
	)`
}

// deletePart ends tasks as ended, as deleteOne does.
func deletePart(which string) string {
	return `, t AS (
		DELETE FROM tasks_open t WHERE ` + which + ` RETURNING t.*
	), ended AS (
		INSERT INTO tasks_ended (` + strings.ReplaceAll(rowColumns, "t.", "") + `)
		SELECT ` + strings.NewReplacer("t.status", "'deleted'", "t.finished_at", "clock_timestamp()").Replace(rowColumns) + ` FROM t
		RETURNING id, task_type
	)`
}
