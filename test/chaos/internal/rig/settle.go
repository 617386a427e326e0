package rig

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// Converge waits until both stores say what they should, for the time that the
// system may take after the last fault, and says what is still wrong then.
func (r *Rig) Converge(ctx context.Context, limit time.Duration) (history.Settled, error) {
	start := time.Now()
	settled := history.Settled{Limit: limit.Seconds()}
	for {
		wrong, err := r.wrong(ctx, start)
		if err != nil {
			wrong = []string{err.Error()}
		}
		settled.Took, settled.Wrong = time.Since(start).Seconds(), wrong
		if len(wrong) == 0 || time.Since(start) > limit {
			return settled, nil
		}
		select {
		case <-ctx.Done():
			return settled, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wrong lists what the stores should not hold once nothing has disturbed them
// since calm.
func (r *Rig) wrong(ctx context.Context, calm time.Time) (found []string, err error) {
	var open int
	err = r.DB.QueryRow(ctx, `SELECT count(*) FROM tasks WHERE outcome = 'open' AND due_at < $1`, calm).Scan(&open)
	if err != nil {
		return nil, fmt.Errorf("count the tasks that should have ended: %w", err)
	}
	if open > 0 {
		found = append(found, fmt.Sprintf("%d tasks have not ended that were due at the last fault", open))
	}
	for _, look := range []struct{ what, sql string }{
		{"tasks are overdue", `
			SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'submitted'
			AND due_at < clock_timestamp() - interval '1 second'`},
		{"tasks are running for sessions that are dead", `
			SELECT count(*) FROM tasks JOIN workers ON workers.id = worker_id
			WHERE status = 'started_executing' AND (dead_at IS NOT NULL OR lease_until < clock_timestamp() - interval '3 seconds')`},
		{"receipts of dead sessions are left", `
			SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id WHERE dead_at IS NOT NULL`},
		{"receipts are left although all of their tasks have ended", `
			SELECT count(*) FROM starts JOIN workers ON workers.id = worker_id
			WHERE NOT EXISTS (SELECT FROM tasks WHERE id = ANY(task_ids) AND outcome = 'open')
			AND lease_until < clock_timestamp() - interval '3 seconds'`},
	} {
		var n int
		if err := r.DB.QueryRow(ctx, look.sql).Scan(&n); err != nil {
			return nil, fmt.Errorf("look whether %s: %w", look.what, err)
		}
		if n > 0 {
			found = append(found, fmt.Sprintf("%d %s", n, look.what))
		}
	}
	ring, err := r.ringWrong(ctx)
	return append(found, ring...), err
}

// ringWrong compares Redis with the submitted tasks inside the horizon. Those
// that cross its edge, or fall due, while we look may be on either side.
func (r *Rig) ringWrong(ctx context.Context) (found []string, err error) {
	rings, err := r.Keys(ctx, "timewheel:{*}:due")
	if err != nil {
		return nil, err
	}
	if i := slices.Index(rings, LegacyKey); i >= 0 {
		found = append(found, "a key of an older version is left in redis")
		rings = slices.Delete(rings, i, i+1)
	}
	var members []string
	for _, ring := range rings {
		some, err := r.Ring.ZRange(ctx, ring, 0, -1).Result()
		if err != nil {
			return nil, fmt.Errorf("read redis: %w", err)
		}
		members = append(members, some...)
	}
	missing, stale := 0, 0
	err = r.DB.QueryRow(ctx, `
		WITH ring AS MATERIALIZED (SELECT unnest($1::text[])::uuid AS id)
		SELECT (SELECT count(*) FROM tasks WHERE outcome = 'open' AND status = 'submitted'
		        AND due_at BETWEEN clock_timestamp() + interval '1 second' AND clock_timestamp() + $2::interval - interval '3 seconds'
		        AND id NOT IN (SELECT id FROM ring)),
		       (SELECT count(*) FROM ring LEFT JOIN tasks USING (id)
		        WHERE tasks.id IS NULL OR status IN ('done', 'failed', 'deleted')
		        AND coalesce(finished_at, '-infinity') < clock_timestamp() - interval '1 second')`,
		members, r.Config.Horizon).Scan(&missing, &stale)
	if err != nil {
		return nil, fmt.Errorf("compare redis with postgres: %w", err)
	}
	if missing > 0 {
		found = append(found, fmt.Sprintf("%d tasks inside the horizon are not in redis", missing))
	}
	if stale > 0 {
		found = append(found, fmt.Sprintf("%d ids in redis name tasks that wait no more", stale))
	}
	return found, nil
}
