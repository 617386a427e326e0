package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// labelCursor is where the walk over the labels stands. The zero value is its beginning.
type labelCursor struct {
	mu    sync.Mutex
	label string
	id    uuid.UUID
}

// ForgetLabels deletes what tasks were found by that are kept no longer. It looks at a page of at
// most limit labels per call, and for the tasks of those alone that are old enough; done is true
// at the end of a walk, and the next call begins from the start. A list passes by what is
// left of such tasks until then.
func (db *DB) ForgetLabels(ctx context.Context, keep time.Duration, limit int) (deleted int, done bool, err error) {
	at := &db.labels
	at.mu.Lock()
	defer at.mu.Unlock()
	var seen int
	label, id := at.label, at.id
	err = db.retry(ctx, "forget labels", func(ctx context.Context) error {
		return db.pool.QueryRow(ctx, forgetLabels, at.label, at.id, keep, limit).Scan(&seen, &deleted, &label, &id)
	})
	if err != nil {
		return 0, false, fmt.Errorf("look at the labels: %w", err)
	}
	at.label, at.id, done = label, id, seen < limit
	if done {
		at.label, at.id = "", uuid.Nil
	}
	return deleted, done, nil
}

// The time in an id is when it was made, which may be a moment before its task is committed. So
// an id that is younger than an hour may belong to a task that is yet to come.
const forgetLabels = `
	WITH page AS MATERIALIZED (
		SELECT label, id FROM task_labels WHERE (label, id) > ($1, $2) ORDER BY label, id LIMIT $4
	), gone AS MATERIALIZED (
		SELECT label, id FROM page
		WHERE id < (lpad(to_hex((extract(epoch FROM clock_timestamp() - greatest($3::interval, '1 hour')) * 1000)::bigint), 12, '0')
		            || '00000000000000000000')::uuid
		      AND NOT EXISTS (SELECT FROM tasks_open o WHERE o.id = page.id)
		      AND NOT EXISTS (SELECT FROM tasks_ended e WHERE e.id = page.id)
	), deleted AS (
		DELETE FROM task_labels l USING gone WHERE l.label = gone.label AND l.id = gone.id RETURNING 1
	)
	SELECT (SELECT count(*) FROM page), (SELECT count(*) FROM deleted), coalesce(last.label, $1), coalesce(last.id, $2)
	FROM (VALUES (1)) one LEFT JOIN (SELECT label, id FROM page ORDER BY label DESC, id DESC LIMIT 1) last ON true`
