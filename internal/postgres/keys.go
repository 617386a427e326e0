package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

const keyColumns = `k.id, k.name, k.hint, k.scopes, k.types, k.made_by, k.created_at, k.expires_at, k.revoked_at, k.last_used_at`

type keyRow struct {
	id, madeBy pgtype.UUID
	name, hint *string
	scopes     []string
	key        access.Key
	createdAt  *time.Time
}

// targets are for keyColumns. What cannot be NULL in a row may be so beside none.
func (r *keyRow) targets() []any {
	return []any{
		&r.id, &r.name, &r.hint, &r.scopes, &r.key.Types, &r.madeBy, &r.createdAt, &r.key.ExpiresAt, &r.key.RevokedAt,
		&r.key.LastUsedAt,
	}
}

func (r *keyRow) read() (*access.Key, error) {
	k := r.key
	k.ID, k.MadeBy = r.id.Bytes, r.madeBy.Bytes
	k.Name, k.Hint, k.CreatedAt = orZero(r.name), orZero(r.hint), orZero(r.createdAt)
	for _, name := range r.scopes {
		scope, known := access.ParseScope(name)
		if !known {
			return nil, fmt.Errorf("a key has the scope %q, which this version does not know", name)
		}
		k.Scopes |= scope
	}
	return &k, nil
}

// Keys reads the keys that are not revoked, unless their version is the known one: then it reads
// one row. It is asked on the connections that wait behind nothing, and once: whoever asks for
// leave needs the answer now. Only a server that takes writes may answer, since another one may
// be behind. The error is task.ErrUnavailable.
func (db *DB) Keys(ctx context.Context, known uuid.UUID) (state access.State, err error) {
	var standby bool
	rows, err := db.vital.Query(ctx, readKeys, known)
	if err == nil {
		var version pgtype.UUID
		var digest []byte
		state = access.State{}
		row := keyRow{}
		_, err = pgx.ForEachRow(rows, append([]any{&version, &state.Now, &standby, &digest}, row.targets()...), func() error {
			state.Version = version.Bytes
			if state.Version == known {
				return nil
			}
			if state.Keys == nil {
				state.Keys = map[access.Digest]*access.Key{}
			}
			if digest == nil { // there are no keys
				return nil
			}
			key, err := row.read()
			if err == nil {
				state.Keys[access.Digest(digest)] = key
			}
			row.key = access.Key{} // the slices are that key's now
			row.scopes = nil
			return err
		})
	}
	switch {
	case err != nil:
		return access.State{}, fmt.Errorf("read the keys: %w: %w", task.ErrUnavailable, err)
	case standby:
		db.vital.Reset() // another of several hosts may be the primary by now
		return access.State{}, fmt.Errorf("read the keys: %w: %w", task.ErrUnavailable, ErrReadOnly)
	case state.Version == uuid.Nil:
		return access.State{}, fmt.Errorf("read the keys: %w: their version is not there", task.ErrUnavailable)
	}
	return state, nil
}

// One statement, and so one snapshot.
const readKeys = `
	SELECT v.version, clock_timestamp(), pg_is_in_recovery(), k.digest, ` + keyColumns + `
	FROM keys_version v
	LEFT JOIN keys k ON v.version <> $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())`

// NoteUse notes that keys are in use, or were until they ended, unless that was noted within the last half minute by
// whichever node.
func (db *DB) NoteUse(ctx context.Context, ids []uuid.UUID) error {
	_, err := db.pool.Exec(ctx, `
		UPDATE keys SET last_used_at = least(clock_timestamp(), revoked_at, expires_at)
		WHERE id = ANY($1) AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '30 s')`, uuids(ids))
	return err
}

// CreateKey stores a key, which expires after so long unless that is 0. maker is the key that
// makes it, or nil. Then it has to be good in the moment of the commit, and to live as long.
// Errors are access.ErrTooManyKeys, access.ErrBeyond, access.ErrNoSuchKey if the maker is no more,
// task.ErrUnavailable and task.ErrUnknownOutcome.
func (db *DB) CreateKey(
	ctx context.Context, k access.Key, digest access.Digest, expiresIn time.Duration, maker *access.Key,
) (made *access.Key, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var madeBy pgtype.UUID
	if maker != nil {
		k.MadeBy = maker.ID
		madeBy = pgtype.UUID{Bytes: maker.ID, Valid: true}
	}
	err = db.retry(ctx, "create key", func(ctx context.Context) error {
		row := keyRow{}
		var good, outlives bool
		var batch pgx.Batch
		// First the maker and then the version, as whoever revokes a key comes to them.
		batch.Queue(`SELECT FROM keys WHERE id = $1 FOR SHARE`, madeBy)
		batch.Queue(`SELECT FROM keys_version FOR UPDATE`)
		batch.Queue(insertKey, k.ID, k.Name, digest[:], k.Hint, k.Scopes.Names(), append([]string{}, k.Types...), madeBy, expiresIn, access.MaxKeys)
		batch.Queue(`SELECT `+keyColumns+` FROM keys k WHERE id = $1`, k.ID).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, row.targets(), func() (err error) { made, err = row.read(); return err })
			return err
		})
		batch.Queue(`SELECT count(*) > 0, coalesce(bool_or(`+outlivesMaker+`), false) FROM keys m WHERE id = $1 AND `+isGood, madeBy, expiresIn).
			QueryRow(func(row pgx.Row) error { return row.Scan(&good, &outlives) })
		made = nil
		err := db.pool.SendBatch(ctx, &batch).Close()
		switch {
		case err != nil, made != nil:
			return err
		case maker != nil && !good:
			return access.ErrNoSuchKey
		case outlives:
			return access.ErrBeyond
		}
		return access.ErrTooManyKeys
	})
	return made, err
}

const (
	isGood = `m.revoked_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp())`
	// outlivesMaker takes expiresIn as parameter 2.
	outlivesMaker = `m.expires_at IS NOT NULL AND ($2::interval = '0' OR clock_timestamp() + $2::interval > m.expires_at)`
)

// Keys are made one at a time, since the row of their version is held, and so is the maker's: what
// this statement sees is later than both, and stays so until the commit.
const insertKey = `
	INSERT INTO keys (id, name, digest, hint, scopes, types, made_by, expires_at)
	SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN $8::interval > '0' THEN clock_timestamp() + $8::interval END
	WHERE ($7::uuid IS NULL OR EXISTS (
	          SELECT FROM keys m WHERE m.id = $7 AND ` + isGood + `
	                 AND (m.expires_at IS NULL OR $8::interval > '0' AND clock_timestamp() + $8::interval <= m.expires_at)))
	      AND (SELECT count(*) FROM keys m WHERE ` + isGood + `) < $9
	ON CONFLICT (id) DO NOTHING`

// ListKeys reads all keys, the newest first, with those that were revoked or have expired a
// while ago. The error is task.ErrUnavailable.
func (db *DB) ListKeys(ctx context.Context) (all []access.Key, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "list keys", func(ctx context.Context) error {
		all = nil
		rows, err := db.reads.Query(ctx, `SELECT `+keyColumns+` FROM keys k ORDER BY created_at DESC, id DESC`)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(found pgx.CollectableRow) (access.Key, error) {
			row := keyRow{}
			if err := found.Scan(row.targets()...); err != nil {
				return access.Key{}, err
			}
			k, err := row.read()
			if err != nil {
				return access.Key{}, err
			}
			return *k, nil
		})
		return err
	})
	return all, err
}

// GetKey reads one key. The error is access.ErrNoSuchKey or task.ErrUnavailable.
func (db *DB) GetKey(ctx context.Context, id uuid.UUID) (k *access.Key, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = db.retryRead(ctx, "get key", func(ctx context.Context) error {
		row := keyRow{}
		err := db.reads.QueryRow(ctx, `SELECT `+keyColumns+` FROM keys k WHERE id = $1`, id).Scan(row.targets()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return access.ErrNoSuchKey
		}
		if err == nil {
			k, err = row.read()
		}
		return err
	})
	return k, err
}

// RevokeKey revokes a key, and again is no harm. A node accepts it until it reads the keys the
// next time. The error is access.ErrNoSuchKey, task.ErrUnavailable or task.ErrUnknownOutcome.
func (db *DB) RevokeKey(ctx context.Context, id uuid.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return db.retry(ctx, "revoke key", func(ctx context.Context) error {
		var there bool
		var batch pgx.Batch
		batch.Queue(`UPDATE keys SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL`, id)
		batch.Queue(`SELECT EXISTS (SELECT FROM keys WHERE id = $1)`, id).QueryRow(func(row pgx.Row) error { return row.Scan(&there) })
		if err := db.pool.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if !there {
			return access.ErrNoSuchKey
		}
		return nil
	})
}
