package postgres

import (
	"strings"

	"github.com/timewheel/timewheel/internal/task"
)

// cancelPage deletes what has not started, and stores with what runs that it is to be cancelled, as
// Cancel does. The rows are held, so what is known of their status stays true.
var cancelPage = pageAction{
	before: `, older AS MATERIALIZED (SELECT ` + olderWorkers + ` AS up)`,
	table:  "tasks_open", lock: true,
	refuses: `CASE WHEN t.status = 'started_executing' AND (SELECT up FROM older) THEN '` + task.SkipOlderWorkers + `' END`,
	acts: deletePart(`t.id = ANY(ARRAY(SELECT id FROM looked WHERE reason IS NULL AND status = 'submitted'))`) + `, asked AS (
		UPDATE tasks_open t SET cancel_requested_at = coalesce(t.cancel_requested_at, clock_timestamp())
		WHERE t.id = ANY(ARRAY(SELECT id FROM looked WHERE reason IS NULL AND status = 'started_executing'))
		RETURNING t.id, t.task_type, t.worker_id
	), told AS (
		INSERT INTO cancels (worker_id, task_id) SELECT worker_id, id FROM asked ON CONFLICT DO NOTHING
	), acted AS (
		SELECT id AS of, id, task_type, NULL::timestamptz AS due_at, NULL::interval AS delay, NULL::uuid AS session FROM ended
		UNION ALL SELECT id, id, task_type, NULL, NULL, worker_id FROM asked
	)`,
}

// retryPage creates a task for each that has failed or was deleted, as Retry does. What has ended
// stays as it is, so no row is held but those of the types. The statement is carried out once, so
// none of its copies can meet a task that another one has created.
var retryPage = pageAction{
	before: `, declared AS MATERIALIZED (
		SELECT name FROM types WHERE name = ANY(ARRAY(
			SELECT DISTINCT e.task_type FROM op, unnest(@ids::uuid[]) AS old (id) CROSS JOIN LATERAL (
				SELECT task_type FROM tasks_ended WHERE tasks_ended.id = old.id OFFSET 0) e))
		ORDER BY name FOR KEY SHARE
	)`,
	table: "tasks_ended",
	refuses: `CASE WHEN t.status NOT IN ('failed', 'deleted') THEN t.status
			WHEN t.task_type <> ALL(ARRAY(SELECT name FROM declared)) THEN '` + task.SkipUndeclaredType + `' END`,
	acts: `, made AS (
		INSERT INTO tasks_open (` + createColumns.names() + `, due_at, retry_of)
		SELECT ` + strings.NewReplacer("$2", "old.fresh", "$3", "NULL::text", "$4", "NULL::text").Replace(createColumns.list(", ", retried)) + `, statement_timestamp(), t.id
		FROM unnest(@ids::uuid[], @fresh::uuid[]) AS old (id, fresh)
		CROSS JOIN LATERAL (SELECT * FROM tasks_ended WHERE tasks_ended.id = old.id OFFSET 0) t
		WHERE ` + toBeDone + `
		RETURNING id, task_type, due_at, retry_of, labels
	)` + notedBy("made") + `, acted AS (
		SELECT retry_of AS of, id, task_type, due_at, due_at - clock_timestamp() AS delay, NULL::uuid AS session FROM made
	)`,
}
