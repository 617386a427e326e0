package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// ResetStatistics lets pg_stat_statements and Redis' command statistics start
// from zero, and lets Redis note from now on what takes it a millisecond or more.
func (r *Rig) ResetStatistics(ctx context.Context) error {
	if err := r.Exec(ctx, `SELECT pg_stat_statements_reset()`); err != nil {
		return fmt.Errorf("reset the statistics of postgres: %w", err)
	}
	_, err := r.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ConfigResetStat(ctx)
		pipe.ConfigSet(ctx, "latency-monitor-threshold", "1") // ms
		pipe.LatencyReset(ctx)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reset the statistics of redis: %w", err)
	}
	return nil
}

// TopStatements are the ten statements that have taken Postgres the most time,
// a line each. It needs pg_stat_statements.
func (r *Rig) TopStatements(ctx context.Context) (lines []string, err error) {
	conn, err := pgx.Connect(ctx, r.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read the statements of postgres: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	rows, err := conn.Query(ctx, `
		SELECT total_exec_time, calls, mean_exec_time, rows, shared_blks_dirtied, wal_bytes, query
		FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10`)
	if err != nil {
		return nil, fmt.Errorf("read the statements of postgres: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var total, mean, wal float64
		var calls, touched, dirtied int64
		var query string
		if err := row.Scan(&total, &calls, &mean, &touched, &dirtied, &wal, &query); err != nil {
			return "", err
		}
		query = strings.Join(strings.Fields(query), " ")
		return fmt.Sprintf("%8.0f ms, %d calls of %.3f ms, %d rows, %d blocks dirtied, %.1f MB of log: %.160s",
			total, calls, mean, touched, dirtied, wal/1e6, query), nil
	})
}
