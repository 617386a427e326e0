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

// queries are the questions for a page of tasks of one of four statuses and of
// one of the types, and for one of a thousand tasks from anywhere. For list, an
// empty filter is none.
func queries[ID any](
	ctx context.Context, s store, statuses []string, list func(ctx context.Context, status, taskType string) error,
	get func(ctx context.Context, id ID) error,
) ([]Query, error) {
	rows, err := s.pool.Query(ctx, "SELECT id FROM "+s.table+" ORDER BY md5(id::text) LIMIT 1000")
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[ID])
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	return []Query{
		{"page, no filter", func(ctx context.Context, _ int) error { return list(ctx, "", "") }},
		{askStatus, func(ctx context.Context, i int) error { return list(ctx, statuses[i%4], "") }},
		{"page by type", func(ctx context.Context, i int) error { return list(ctx, "", typeNames[i%4]) }},
		{"page by status and type", func(ctx context.Context, i int) error { return list(ctx, statuses[i%4], typeNames[i/4%4]) }},
		{askOne, func(ctx context.Context, i int) error { return get(ctx, ids[i%len(ids)]) }},
	}, nil
}
