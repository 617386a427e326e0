package rig

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Template makes the database that Fresh copies for this name, and lets migrate
// fill it.
func (r *Rig) Template(ctx context.Context, name string, migrate func(ctx context.Context, url string) error) error {
	if err := execute(ctx, r.postgres.URL(), "CREATE DATABASE "+name); err != nil {
		return fmt.Errorf("make a template database: %w", err)
	}
	if err := migrate(ctx, r.postgres.Database(name)); err != nil {
		return fmt.Errorf("migrate the template database %s: %w", name, err)
	}
	return nil
}

// PostgresVersion is the server's version as it names it.
func (r *Rig) PostgresVersion(ctx context.Context) (string, error) {
	return ask(ctx, r.postgres.URL(), "SHOW server_version", pgx.CollectExactlyOneRow[string])
}

// transactions is how many have ended in the measured database. Idle backends
// report theirs within a second or so.
func (r *Rig) transactions(ctx context.Context) (float64, error) {
	return ask(ctx, r.DatabaseURL, `
		SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = current_database()`,
		pgx.CollectExactlyOneRow[float64])
}

// TopStatements are the ten statements that have taken Postgres the most time
// since ResetStatistics, a line each.
func (r *Rig) TopStatements(ctx context.Context) ([]string, error) {
	return ask(ctx, r.DatabaseURL, `
		SELECT format('%s ms, %s calls of %s ms, %s rows, %s blocks dirtied, %s MB of log: %s',
			round(total_exec_time::numeric), calls, round(mean_exec_time::numeric, 3), rows, shared_blks_dirtied,
			round(wal_bytes / 1e6, 1), left(regexp_replace(query, '\s+', ' ', 'g'), 160))
		FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10`, pgx.CollectRows[string])
}

// ask reads the one column of a query's rows.
func ask[T, V any](
	ctx context.Context, url, query string, collect func(pgx.Rows, pgx.RowToFunc[V]) (T, error),
) (answer T, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return answer, fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, query)
	if err == nil {
		answer, err = collect(rows, pgx.RowTo[V])
	}
	if err != nil {
		return answer, fmt.Errorf("ask postgres: %w", err)
	}
	return answer, nil
}

// execute runs statements, each on its own.
func execute(ctx context.Context, url string, statements ...string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
