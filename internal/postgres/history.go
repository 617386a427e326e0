package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
)

// widths are how much time a partition of the history may hold, and how long tasks must be
// kept for it. Tasks go with their partition, so they stay for up to a quarter longer; and
// a few to some thirty partitions are all that a look at the history has to ask.
var widths = []struct{ width, keep time.Duration }{
	{28 * day, 112 * day},
	{7 * day, 28 * day},
	{day, 4 * day},
	{6 * time.Hour, day},
	{time.Hour, 6 * time.Hour},
	{10 * time.Minute, time.Hour},
	{5 * time.Minute, 20 * time.Minute},
	{time.Minute, 4 * time.Minute},
}

const (
	day = 24 * time.Hour
	// minWidth is that of a partition for tasks that are kept for minutes.
	minWidth = 10 * time.Second
)

// partitionWidth is how much time a partition holds if tasks are kept for as long as keep.
func partitionWidth(keep time.Duration) time.Duration {
	for _, w := range widths {
		if keep >= w.keep {
			return w.width
		}
	}
	return minWidth
}

// ExtendHistory makes the partitions of the history for now and for what comes next. A table
// that others hold is not waited for: it is left for the next call, and what ends meanwhile
// is stored too.
func (db *DB) ExtendHistory(ctx context.Context, keep time.Duration) error {
	width := partitionWidth(keep)
	return db.retry(ctx, "extend the history", func(ctx context.Context) error {
		for made := true; made; {
			err := db.pool.QueryRow(ctx, `SELECT extend_history($1)`, width).Scan(&made)
			if isBusy(err) {
				db.log.Debug("history is extended later", "error", err)
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DropEnded drops the partitions whose tasks all ended more than keep ago, and returns about
// how many tasks they were. The cost is that of dropping files, however many tasks there
// are. A partition that others hold is left for the next call.
func (db *DB) DropEnded(ctx context.Context, keep time.Duration) (dropped int64, err error) {
	err = db.retry(ctx, "drop old tasks", func(ctx context.Context) error {
		for {
			var tasks *int64
			err := db.pool.QueryRow(ctx, `SELECT drop_history($1)`, keep).Scan(&tasks)
			if isBusy(err) {
				db.log.Debug("old tasks are dropped later", "error", err)
				return nil
			}
			if err != nil || tasks == nil {
				return err
			}
			dropped += *tasks
		}
	})
	return dropped, err
}

// isBusy reports whether a lock was not to be had in time.
func isBusy(err error) bool {
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == pgerrcode.LockNotAvailable
}
