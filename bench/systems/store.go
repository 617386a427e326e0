package systems

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// store asks a system's Postgres what it has of the tasks.
type store struct {
	pool *pgxpool.Pool
	// table holds a row for each task.
	table string
	// idle is a query that says whether nothing due is left, finished the
	// condition of a task that was executed, and history a statement that makes
	// rows, given their number and the names of the types.
	idle, finished, history string
}

// openPool opens a pool of at most so many connections.
func openPool(ctx context.Context, url string, connections int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err == nil {
		cfg.MaxConns = connections
		var pool *pgxpool.Pool
		if pool, err = pgxpool.NewWithConfig(ctx, cfg); err == nil {
			return pool, nil
		}
	}
	return nil, fmt.Errorf("open a pool: %w", err)
}

// ask reads the one value that a query gives.
func ask[T any](ctx context.Context, s store, query string) (answer T, err error) {
	if err := s.pool.QueryRow(ctx, query).Scan(&answer); err != nil {
		return answer, fmt.Errorf("ask postgres: %w", err)
	}
	return answer, nil
}

// Close closes the pool.
func (s store) Close() error {
	s.pool.Close()
	return nil
}

// Idle implements Client.
func (s store) Idle(ctx context.Context) (bool, error) { return ask[bool](ctx, s, s.idle) }

// Finished counts the rows that are done.
func (s store) Finished(ctx context.Context) (int, error) {
	return ask[int](ctx, s, "SELECT count(*) FROM "+s.table+" WHERE "+s.finished)
}

// Bytes is the size of the one table that grows with the tasks.
func (s store) Bytes(ctx context.Context) (float64, error) {
	return ask[float64](ctx, s, "SELECT pg_total_relation_size('"+s.table+"')::float8")
}

// History writes the rows itself: the system would take days.
func (s store) History(ctx context.Context, n int) error {
	if _, err := s.pool.Exec(ctx, s.history, n, typeNames); err != nil {
		return fmt.Errorf("store a history: %w", err)
	}
	return nil
}

// pick returns the ids of a thousand tasks from anywhere.
func pick[T any](ctx context.Context, s store) ([]T, error) {
	rows, err := s.pool.Query(ctx, "SELECT id FROM "+s.table+" ORDER BY md5(id::text) LIMIT 1000")
	var ids []T
	if err == nil {
		ids, err = pgx.CollectRows(rows, pgx.RowTo[T])
	}
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	return ids, nil
}
