package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/timewheel/timewheel/internal/access"
)

// auditTimeout bounds what a change waits for its row of the audit.
const auditTimeout = 3 * time.Second

// Audit writes a row of the audit, before what it tells of is carried out, or after that was
// refused. Its id is the caller's, so a copy of the statement does nothing. The error is
// task.ErrUnavailable or task.ErrUnknownOutcome.
func (db *DB) Audit(ctx context.Context, e access.Event) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	return db.retry(ctx, "write the audit", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `
			INSERT INTO audit (id, key_id, key_name, method, route, object, request_id, status)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
			e.ID, e.KeyID, e.KeyName, e.Method, e.Route, e.Object, e.RequestID, e.Status)
		return err
	})
}

// AuditOutcome notes how what an event tells of was answered. The errors are as above.
func (db *DB) AuditOutcome(ctx context.Context, e access.Event) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	return db.retry(ctx, "write the audit", func(ctx context.Context) error {
		_, err := db.pool.Exec(ctx, `UPDATE audit SET status = $2, object = $3 WHERE id = $1 AND status IS NULL`,
			e.ID, e.Status, e.Object)
		return err
	})
}

// ListAudit reads at most limit events before a place, or from the newest on, newest first. The
// error is task.ErrUnavailable.
func (db *DB) ListAudit(ctx context.Context, before *access.Place, limit int) (page []access.Event, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	from, id := pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}, pgtype.UUID{Valid: true}
	if before != nil {
		from, id = pgtype.Timestamptz{Time: before.At, Valid: true}, pgtype.UUID{Bytes: before.ID, Valid: true}
	}
	err = db.retryRead(ctx, "list the audit", func(ctx context.Context) error {
		page = nil
		rows, err := db.reads.Query(ctx, `
			SELECT id, at, key_id, key_name, method, route, object, request_id, status
			FROM audit WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3`, from, id, limit)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e access.Event, err error) {
			err = row.Scan(scanUUID(&e.ID), &e.At, scanUUID(&e.KeyID), &e.KeyName, &e.Method, &e.Route, &e.Object, &e.RequestID, &e.Status)
			return e, err
		})
		return err
	})
	return page, err
}

// ForgetAudit deletes at most limit events that are older than keep, and the keys that were
// revoked or expired before that, and returns how many events there were.
func (db *DB) ForgetAudit(ctx context.Context, keep time.Duration, limit int) (deleted int, err error) {
	err = db.retry(ctx, "delete old events", func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(`
			DELETE FROM audit WHERE id IN (
				SELECT id FROM audit WHERE at < clock_timestamp() - $1::interval ORDER BY at, id LIMIT $2)`, keep, limit)
		batch.Queue(`DELETE FROM keys WHERE least(revoked_at, expires_at) < clock_timestamp() - $1::interval`, keep)
		results := db.pool.SendBatch(ctx, &batch)
		tag, err := results.Exec()
		deleted = int(tag.RowsAffected())
		if closed := results.Close(); err == nil {
			err = closed
		}
		return err
	})
	return deleted, err
}
