package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// Stats counts tasks, by what a few thousand entries of indexes tell for each type and status, and
// by what runs right now. The error is task.ErrUnavailable.
func (db *DB) Stats(ctx context.Context) (s task.Stats, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "count tasks", func(ctx context.Context) error {
		s = task.Stats{Types: map[string]map[task.Status]int{}}
		var batch pgx.Batch
		batch.Queue(countByType, task.MaxCount+1).Query(func(rows pgx.Rows) error {
			var taskType string
			var status task.Status
			var n int
			_, err := pgx.ForEachRow(rows, []any{&taskType, &status, &n}, func() error {
				if s.Types[taskType] == nil {
					s.Types[taskType] = map[task.Status]int{}
				}
				s.Types[taskType][status] = min(n, task.MaxCount+1)
				return nil
			})
			return err
		})
		batch.Queue(countByDue, task.MaxCount+1).QueryRow(func(row pgx.Row) error {
			var oldest *time.Time
			err := row.Scan(&s.At, &s.Overdue, &oldest, &s.DueIn.Minute, &s.DueIn.Hour, &s.DueIn.Day)
			s.OldestOverdue = oldest
			s.Overdue = min(s.Overdue, task.MaxCount+1)
			return err
		})
		return db.reads.SendBatch(ctx, &batch).Close()
	})
	return s, err
}

// runsNow is what runs, found by the receipts of the starts.
const runsNow = `runs AS MATERIALIZED (
		SELECT t.task_type FROM (SELECT DISTINCT id FROM starts CROSS JOIN unnest(task_ids) AS id) receipt
		CROSS JOIN LATERAL (SELECT * FROM tasks_open WHERE tasks_open.id = receipt.id OFFSET 0) t
		WHERE t.status = 'started_executing'
	)`

// An index says which tasks are open, and the receipts which of those run. The types are found
// by hopping from one to the next, see listByIndex; the range keeps the planner on that index.
var countByType = `
	WITH RECURSIVE ` + runsNow + `, running AS MATERIALIZED (
		SELECT task_type, count(*) AS n FROM runs GROUP BY task_type
	), ` + typesOf("open_head", "tasks_open", "open") + `, ` + typesOf("ended_head", "tasks_ended", "done,failed,deleted") + `, open AS MATERIALIZED (
		SELECT h.task_type, coalesce(r.n, 0) AS running, c.n
		FROM open_head h LEFT JOIN running r ON r.task_type = h.task_type CROSS JOIN LATERAL (` + countOf("tasks_open", "$1 + coalesce(r.n, 0)") + `) c
		WHERE h.task_type IS NOT NULL
	)
	SELECT task_type, 'submitted', n - running FROM open WHERE n > running
	UNION ALL SELECT task_type, 'started_executing', running FROM open WHERE running > 0
	UNION ALL
	SELECT h.task_type, h.outcome::text, c.n FROM ended_head h CROSS JOIN LATERAL (` + countOf("tasks_ended", "$1") + `) c
	WHERE h.task_type IS NOT NULL`

func typesOf(name, table, outcomes string) string {
	return name + ` (outcome, task_type) AS (
		SELECT o, (SELECT min(task_type) FROM ` + table + ` WHERE outcome = o) FROM unnest('{` + outcomes + `}'::task_outcome[]) o
		UNION ALL
		SELECT outcome, (SELECT min(t.task_type) FROM ` + table + ` t WHERE t.outcome = h.outcome AND t.task_type > h.task_type)
		FROM ` + name + ` h WHERE h.task_type IS NOT NULL
	)`
}

func countOf(table, limit string) string {
	return `SELECT count(*) AS n FROM (
			SELECT FROM ` + table + ` WHERE outcome = h.outcome AND task_type >= h.task_type AND task_type <= h.task_type LIMIT ` + limit + `) few`
}

// What runs was due before, and what falls due does not run: so the index of due times suffices.
const countByDue = `
	WITH ` + runsNow + `, running AS MATERIALIZED (
		SELECT count(*) AS n FROM runs
	), now AS MATERIALIZED (
		SELECT clock_timestamp() AS at
	), ahead AS MATERIALIZED (
		SELECT due_at FROM tasks_open
		WHERE due_at > (SELECT at FROM now) AND due_at <= (SELECT at FROM now) + interval '1 day'
		ORDER BY due_at LIMIT $1
	)
	SELECT now.at,
	       greatest(0, (SELECT count(*) FROM (
	           SELECT FROM tasks_open WHERE due_at <= (SELECT at FROM now) ORDER BY due_at LIMIT $1 + (SELECT n FROM running)) due)
	           - (SELECT n FROM running)),
	       (SELECT due_at FROM tasks_open WHERE due_at <= (SELECT at FROM now) AND status = 'submitted' ORDER BY due_at LIMIT 1),
	       (SELECT count(*) FROM ahead WHERE due_at <= now.at + interval '1 minute'),
	       (SELECT count(*) FROM ahead WHERE due_at <= now.at + interval '1 hour'),
	       (SELECT count(*) FROM ahead)
	FROM now`
