package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// skipLate ends tasks of schedules that have not started a minute after they were due, or
// half of the way to the next, as the schedule's catch_up says: of none all, of last all but the newest.
var skipLate = `
	WITH waiting AS (
		SELECT o.schedule, o.at, o.task_id, s.catch_up, open.due_at,
		       least(interval '1 minute', (lead(o.at) OVER (PARTITION BY o.schedule ORDER BY o.at) - o.at) / 2) AS grace
		FROM occurrences o JOIN schedules s ON s.name = o.schedule AND s.catch_up <> 'all'
		JOIN tasks_open open ON open.id = o.task_id AND open.status = 'submitted' AND open.attempt = 0
		WHERE o.schedule IN (
			-- Where all goes well, these are none.
			SELECT overdue.schedule FROM occurrences overdue JOIN tasks_open t ON t.id = overdue.task_id
			WHERE overdue.at < clock_timestamp() AND t.status = 'submitted' AND t.due_at < clock_timestamp() - interval '500 milliseconds')
	), late AS (
		SELECT *, row_number() OVER (PARTITION BY schedule ORDER BY at DESC) AS newest FROM waiting
		WHERE due_at < clock_timestamp() - grace
	), gone AS (
		DELETE FROM occurrences o USING late
		WHERE o.schedule = late.schedule AND o.at = late.at AND NOT (late.catch_up = 'last' AND late.newest = 1)
		RETURNING o.task_id, o.schedule, o.at
	), ` + endOccurrences + `, counted AS (
		UPDATE schedules s SET skipped_late = skipped_late + n, last_skipped_at = skipped.at, last_skipped_reason = 'late'
		FROM (SELECT gone.schedule, count(*) AS n, max(gone.at) AS at FROM gone JOIN ended ON ended.id = gone.task_id GROUP BY gone.schedule) skipped
		WHERE s.name = skipped.schedule
	)
	SELECT id, task_type FROM ended`

// SkipLate takes back the tasks of schedules that are too late, and returns them.
func (db *DB) SkipLate(ctx context.Context) (taken []task.Ref, err error) {
	err = db.retry(ctx, "skip late occurrences", func(ctx context.Context) error {
		taken = taken[:0]
		var batch pgx.Batch
		batch.Queue(skipLate).Query(collectRefs(&taken))
		return db.pool.SendBatch(ctx, &batch).Close()
	})
	return taken, err
}
