package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
	"github.com/redis/go-redis/v9"
)

// ticksPerSecond is the unit of CPU time in /proc, which Linux fixes for programs.
const ticksPerSecond = 100

// Usage is CPU time, in user and kernel mode; Nodes is the system's own processes.
type Usage struct{ Nodes, Redis, Postgres time.Duration }

// Total is all of it.
func (u Usage) Total() time.Duration { return u.Nodes + u.Redis + u.Postgres }

// Since is what was spent after the earlier look.
func (u Usage) Since(before Usage) Usage {
	return Usage{u.Nodes - before.Nodes, u.Redis - before.Redis, u.Postgres - before.Postgres}
}

// Usage reads the CPU time of both stores and of the given processes, each with all of its
// descendants.
func (r *Rig) Usage(nodes []*Process) (u Usage, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return u, fmt.Errorf("list the processes: %w", err)
	}
	spent, children := map[int]time.Duration{}, map[int][]int{}
	for _, process := range all {
		stat, err := process.Stat()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // It ended since it was listed.
		}
		if err != nil {
			return u, fmt.Errorf("read the CPU time of a process: %w", err)
		}
		// What ended children have spent is counted with their parent.
		ticks := int(stat.UTime) + int(stat.STime) + stat.CUTime + stat.CSTime
		spent[stat.PID] = time.Duration(ticks) * time.Second / ticksPerSecond
		children[stat.PPID] = append(children[stat.PPID], stat.PID)
	}
	var tree func(id int) time.Duration
	tree = func(id int) time.Duration {
		sum := spent[id]
		for _, child := range children[id] {
			sum += tree(child)
		}
		return sum
	}
	u.Redis, u.Postgres = tree(r.redis.PID()), tree(r.postgres.PID())
	for _, node := range nodes {
		u.Nodes += tree(node.child.PID())
	}
	return u, nil
}

// Figures are what the stores say of themselves: how many bytes they hold, and how many
// Redis commands, those inside scripts included, and Postgres transactions there have been.
// Idle backends report theirs within a second or so.
type Figures struct {
	PostgresVersion, RedisVersion string
	PostgresBytes, RedisBytes     float64
	Commands, Transactions        float64
}

// Figures asks both stores.
func (r *Rig) Figures(ctx context.Context) (f Figures, err error) {
	info, err := r.Redis.InfoMap(ctx).Result()
	if err != nil {
		return f, fmt.Errorf("ask redis for its figures: %w", err)
	}
	f.RedisVersion = info["Server"]["redis_version"]
	_, err = fmt.Sscan(info["Memory"]["used_memory"]+" "+info["Stats"]["total_commands_processed"], &f.RedisBytes, &f.Commands)
	if err != nil {
		return f, fmt.Errorf("read the figures of redis: %w", err)
	}
	err = ask(ctx, r.postgres.URL(), `
		SELECT current_setting('server_version'), coalesce(sum(xact_commit + xact_rollback), 0)::float8,
			coalesce(sum(pg_database_size(datid)), 0)::float8
		FROM pg_stat_database WHERE datname = '`+databaseName+`'`, &f.PostgresVersion, &f.Transactions, &f.PostgresBytes)
	return f, err
}

// ResetStatistics lets pg_stat_statements and Redis' command statistics start from zero,
// and lets Redis note from now on what takes it a millisecond or more.
func (r *Rig) ResetStatistics(ctx context.Context) error {
	err := execute(ctx, r.DatabaseURL, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "SELECT pg_stat_statements_reset()")
	if err != nil {
		return fmt.Errorf("reset the statistics of postgres: %w", err)
	}
	_, err = r.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
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

// Statistics are what both stores have done since ResetStatistics, as text: the ten
// costliest statements of Postgres, the commands of Redis, and what kept its clients
// waiting.
func (r *Rig) Statistics(ctx context.Context) (string, error) {
	var statements string
	err := ask(ctx, r.DatabaseURL, `
		SELECT string_agg(format('%s ms, %s calls of %s ms, %s rows, %s blocks dirtied, %s MB of log: %s',
			round(total_exec_time::numeric), calls, round(mean_exec_time::numeric, 3), rows, shared_blks_dirtied,
			round(wal_bytes / 1e6, 1), left(regexp_replace(query, '\s+', ' ', 'g'), 160)), E'\n')
		FROM (SELECT * FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10) AS costliest`, &statements)
	if err != nil {
		return "", err
	}
	commands, err := r.Redis.Info(ctx, "commandstats").Result()
	if err != nil {
		return "", fmt.Errorf("ask redis for its commands: %w", err)
	}
	latencies, err := r.Redis.Latency(ctx).Result()
	if err != nil {
		return "", fmt.Errorf("ask redis for its latencies: %w", err)
	}
	return fmt.Sprintf("%s\n\n%s\n# Latency, from a millisecond on\n%+v", statements, commands, latencies), nil
}

// ask reads the one row of a query.
func ask(ctx context.Context, url, query string, into ...any) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		err = errors.Join(conn.QueryRow(ctx, query).Scan(into...), conn.Close(ctx))
	}
	if err != nil {
		return fmt.Errorf("ask postgres: %w", err)
	}
	return nil
}
