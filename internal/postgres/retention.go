package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// history is where the walk over ended tasks stands. The zero value is its
// beginning, before the first that is done. In the order of outcomes, open ones
// come last.
type history struct {
	mu                sync.Mutex
	outcome, taskType string
	id                uuid.UUID
}

// Forget deletes ended tasks that finished more than keep ago, and sessions
// that died before then, and returns how many tasks. A call looks at no more
// than limit tasks and goes on where the last one stopped, so that its cost
// does not grow with history; round is true when it reached the end, and the
// next call begins anew.
func (db *DB) Forget(ctx context.Context, keep time.Duration, limit int) (deleted int, round bool, err error) {
	db.history.mu.Lock()
	defer db.history.mu.Unlock()
	at := &db.history
	var seen int
	var next history
	err = db.retry(ctx, "delete old tasks", func(ctx context.Context) error {
		return db.pool.QueryRow(ctx, `
			WITH page AS MATERIALIZED (
				SELECT outcome, task_type, id, finished_at FROM tasks
				WHERE outcome < 'open' AND (outcome, task_type, id) > (coalesce(nullif($1, ''), 'done')::task_outcome, $2, $3)
				ORDER BY outcome, task_type, id LIMIT $5
			), gone AS (
				DELETE FROM tasks USING page
				WHERE tasks.id = page.id AND page.finished_at < clock_timestamp() - $4::interval
				RETURNING 1
			), sessions AS (
				DELETE FROM workers WHERE dead_at < clock_timestamp() - $4::interval
			)
			SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM gone),
			       coalesce(last.outcome::text, ''), coalesce(last.task_type, ''), coalesce(last.id, $3)
			FROM (SELECT) always LEFT JOIN (
				SELECT outcome, task_type, id FROM page
				ORDER BY outcome DESC, task_type DESC, id DESC LIMIT 1) last ON true`,
			at.outcome, at.taskType, at.id, keep, limit,
		).Scan(&seen, &deleted, &next.outcome, &next.taskType, &next.id)
	})
	if err != nil {
		return 0, false, err
	}
	if seen < limit {
		next = history{}
	}
	at.outcome, at.taskType, at.id = next.outcome, next.taskType, next.id
	return deleted, seen < limit, nil
}
