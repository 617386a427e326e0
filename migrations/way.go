package migrations

import (
	"context"
	"database/sql"
	"log/slog"
	"time"
)

// wayPause is the time between two looks at what a migration waits for, and how long a
// statement may have run before it has to make way.
const wayPause = 100 * time.Millisecond

// makeWay cancels the statements of nodes that keep a migration from its tables, until stop is
// called. The release before removes what is old by statements of many seconds, one after the
// other: no short wait for a lock meets a gap between them. Each node tries a statement
// again that was cancelled.
func makeWay(ctx context.Context, db *sql.DB, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(wayPause)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var cancelled int
			// What fails here is tried again at the next tick, and is no failure of the migration.
			if db.QueryRowContext(context.WithoutCancel(ctx), cancelBlockers, wayPause.Seconds()).Scan(&cancelled) == nil && cancelled > 0 {
				log.Info("statements of nodes made way for the migration, and are tried again by them", "statements", cancelled)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// Of other programs, and of roles that this one may not be allowed to cancel, nothing is cancelled.
const cancelBlockers = `
	SELECT count(*) FILTER (WHERE pg_cancel_backend(node.pid))
	FROM pg_stat_activity migrates CROSS JOIN LATERAL unnest(pg_blocking_pids(migrates.pid)) AS blocks (pid)
	JOIN pg_stat_activity node ON node.pid = blocks.pid
	WHERE migrates.datname = current_database() AND migrates.application_name = 'timewheel migrate' AND migrates.wait_event_type = 'Lock'
	      AND node.application_name = 'timewheel' AND node.usename = current_user AND node.state = 'active'
	      AND node.query_start < clock_timestamp() - make_interval(secs => $1)`
