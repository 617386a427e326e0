package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/timewheel/timewheel/internal/task"
)

// readTimeout bounds a look at tasks: whoever asked must get an answer.
const readTimeout = 8 * time.Second

// Get reads one task. The error is task.ErrNotFound or task.ErrUnavailable.
func (db *DB) Get(ctx context.Context, id task.ID) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var found task.Task
	err := db.retryRead(ctx, "get task", func(ctx context.Context) error {
		err := scan(db.reads.QueryRow(ctx, `SELECT `+readColumns+` FROM tasks t WHERE t.id = $1`, id), &found)
		if errors.Is(err, pgx.ErrNoRows) {
			return task.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &found, nil
}

func scan(row pgx.Row, t *task.Task) error { return row.Scan(targets(t, readScans)...) }

func orZero[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

func raw(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
