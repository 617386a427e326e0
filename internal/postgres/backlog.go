package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// backlogRows is how many open tasks each look at the backlog reads at most.
const backlogRows = task.MaxCount + 1

// backlogLooks are five looks at the index of due times, each of them bounded, however much is open.
// If more is overdue than one look sees, the second sees what became overdue last: a type whose work
// stands still hides the others only if theirs is neither among the oldest nor among the newest. What
// runs is passed over, and counts towards the bound.
const backlogLooks = `
	WITH clock AS MATERIALIZED (
		SELECT now, now - $1::interval AS overdue, now + $3::interval AS first, now + $4::interval AS second, now + $5::interval AS third
		FROM (SELECT clock_timestamp() AS now) c
	), longest AS MATERIALIZED (
		SELECT task_type, status, due_at, id FROM tasks_open
		WHERE due_at < (SELECT overdue FROM clock) ORDER BY due_at, id LIMIT $2
	), last AS MATERIALIZED (
		SELECT due_at, id FROM longest OFFSET $2 - 1
	), shortest AS MATERIALIZED (
		SELECT task_type, status, due_at FROM tasks_open
		WHERE (due_at, id) > ((SELECT due_at FROM last), (SELECT id FROM last)) AND due_at < (SELECT overdue FROM clock)
		ORDER BY due_at DESC, id DESC LIMIT $2
	), seen AS (
		SELECT 0 AS band, task_type, status, due_at FROM longest
		UNION ALL SELECT 0, * FROM shortest
		UNION ALL SELECT 1, * FROM (
			SELECT task_type, status, due_at FROM tasks_open
			WHERE due_at >= (SELECT now FROM clock) AND due_at < (SELECT first FROM clock) ORDER BY due_at, id LIMIT $2) soon
		UNION ALL SELECT 2, * FROM (
			SELECT task_type, status, due_at FROM tasks_open
			WHERE due_at >= (SELECT first FROM clock) AND due_at < (SELECT second FROM clock) ORDER BY due_at, id LIMIT $2) soon
		UNION ALL SELECT 3, * FROM (
			SELECT task_type, status, due_at FROM tasks_open
			WHERE due_at >= (SELECT second FROM clock) AND due_at < (SELECT third FROM clock) ORDER BY due_at, id LIMIT $2) soon
	)
	SELECT task_type, count(*) FILTER (WHERE band = 0), coalesce((SELECT now FROM clock) - min(due_at) FILTER (WHERE band = 0), '0'),
	       count(*) FILTER (WHERE band = 1), count(*) FILTER (WHERE band = 2), count(*) FILTER (WHERE band = 3)
	FROM seen WHERE status = 'submitted' GROUP BY task_type`

// Backlog counts what was due before grace ago and has not started, and what falls due soon. The
// counts of all types together are exact up to MaxCount in each span of time; of more they are the
// least that there is.
func (db *DB) Backlog(ctx context.Context, grace time.Duration) (backlog task.Backlog, err error) {
	horizons := task.SoonHorizons()
	err = db.retryRead(ctx, "look at the backlog", func(ctx context.Context) error {
		backlog = nil
		counted := map[string]task.TypeBacklog{}
		var batch pgx.Batch
		batch.Queue(backlogLooks, grace, backlogRows, horizons[0], horizons[1], horizons[2]).Query(func(rows pgx.Rows) error {
			var b task.TypeBacklog
			_, err := pgx.ForEachRow(rows, []any{&b.Type, &b.Overdue, &b.Oldest, &b.Soon[0], &b.Soon[1], &b.Soon[2]}, func() error {
				b.Overdue, b.Soon[0] = min(b.Overdue, task.MaxCount), min(b.Soon[0], task.MaxCount)
				within := b
				within.Soon[1] = min(within.Soon[0]+b.Soon[1], task.MaxCount)
				within.Soon[2] = min(within.Soon[1]+b.Soon[2], task.MaxCount)
				counted[b.Type] = within
				return nil
			})
			return err
		})
		batch.Queue(`SELECT name, paused FROM types ORDER BY name`).Query(func(rows pgx.Rows) error {
			var name string
			var paused bool
			_, err := pgx.ForEachRow(rows, []any{&name, &paused}, func() error {
				b := counted[name]
				b.Type, b.Paused = name, paused
				backlog = append(backlog, b)
				return nil
			})
			return err
		})
		return db.reads.SendBatch(ctx, &batch).Close()
	})
	return backlog, err
}
