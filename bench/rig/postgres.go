package rig

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// PostgresTransactions is how many transactions have ended in the measured
// database. Idle backends report theirs within a second or so.
func (r *Rig) PostgresTransactions(ctx context.Context) (n float64, err error) {
	err = r.ask(ctx, `SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()`, &n)
	if err != nil {
		return 0, fmt.Errorf("count the transactions of postgres: %w", err)
	}
	return n, nil
}

// PostgresVersion is the server's version as it names it.
func (r *Rig) PostgresVersion(ctx context.Context) (version string, err error) {
	conn, err := pgx.Connect(ctx, r.adminURL)
	if err != nil {
		return "", fmt.Errorf("ask postgres for its version: %w", err)
	}
	return conn.PgConn().ParameterStatus("server_version"), conn.Close(ctx)
}

// RedisVersion is the server's version.
func (r *Rig) RedisVersion(ctx context.Context) (string, error) {
	info, err := r.redisInfo(ctx, "server")
	return info["redis_version"], err
}

func (r *Rig) ask(ctx context.Context, query string, into ...any) (err error) {
	conn, err := pgx.Connect(ctx, r.DatabaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	return conn.QueryRow(ctx, query).Scan(into...)
}
