package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/timewheel/timewheel/internal/task"
)

// Register opens a worker's session: its lease ends after the given time
// unless it is renewed. Like Renew, it tries once, may be repeated, and is
// task.ErrSessionLost if the session was marked dead.
func (db *DB) Register(ctx context.Context, session uuid.UUID, host string, lease time.Duration) error {
	tag, err := db.vital.Exec(ctx, `
		INSERT INTO workers (id, host, lease_until, protocol) VALUES ($1, $2, clock_timestamp() + $3, 3)
		ON CONFLICT (id) DO UPDATE SET
			lease_until = excluded.lease_until, renewed_at = clock_timestamp(), steady_since = clock_timestamp()
		WHERE workers.dead_at IS NULL`,
		session, host, lease)
	return alive(tag, err)
}

// Renew extends a session's lease from now. A renewal that comes more than half
// a lease after the one before begins a new run of steady renewals, which is
// what Reap asks for. It tries once, so that the caller knows when the try
// began. It is task.ErrSessionLost if the session was marked dead, which is
// final.
func (db *DB) Renew(ctx context.Context, session uuid.UUID, lease time.Duration) error {
	tag, err := db.vital.Exec(ctx, `
		UPDATE workers SET
			lease_until = clock_timestamp() + $2, renewed_at = clock_timestamp(),
			steady_since = CASE WHEN renewed_at < clock_timestamp() - $2::interval / 2
				THEN clock_timestamp() ELSE steady_since END
		WHERE id = $1 AND dead_at IS NULL`, session, lease)
	return alive(tag, err)
}

func alive(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return task.ErrSessionLost
	}
	return err
}
