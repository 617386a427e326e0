package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// Register opens a worker's session: its lease ends after the given time
// unless it is renewed.
func (db *DB) Register(ctx context.Context, session uuid.UUID, host string, lease time.Duration) error {
	return db.retry(ctx, "register session", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `
			INSERT INTO workers (id, host, lease_until) VALUES ($1, $2, clock_timestamp() + $3)
			ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until WHERE workers.dead_at IS NULL`,
			session, host, lease)
		return err
	})
}

// Renew extends a session's lease from now. It tries once, so that the caller
// knows when the try began. It is task.ErrSessionLost if the session was
// marked dead, which is final.
func (db *DB) Renew(ctx context.Context, session uuid.UUID, lease time.Duration) error {
	tag, err := db.pool.Exec(ctx, `
		UPDATE workers SET lease_until = clock_timestamp() + $2
		WHERE id = $1 AND dead_at IS NULL`, session, lease)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return task.ErrSessionLost
	}
	return nil
}
