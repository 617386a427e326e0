package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// rewritePause is between two looks at a rewrite of the append-only file.
const rewritePause = 5 * time.Millisecond

// OpenRedis is a client with the settings that timewheel, asynq and the rig
// itself share: no handshakes that an older server refuses.
func OpenRedis(url string, connections int) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the redis URL is not valid") // The cause quotes the password.
	}
	options.PoolSize = connections
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

func (r *Rig) flushRedis(ctx context.Context) error {
	if err := errors.Join(r.Redis.FlushAll(ctx).Err(), r.Redis.ConfigResetStat(ctx).Err()); err != nil {
		return err
	}
	return r.rewriteAppendOnly(ctx)
}

// rewriteAppendOnly rewrites the append-only file and waits for the end of it.
func (r *Rig) rewriteAppendOnly(ctx context.Context) error {
	idle := func() (bool, error) {
		info, err := r.Redis.InfoMap(ctx, "persistence").Result()
		now := info["Persistence"]
		return now["aof_rewrite_in_progress"] == "0" && now["aof_rewrite_scheduled"] == "0", err
	}
	err := Until(ctx, rewritePause, idle)
	if err == nil {
		err = r.Redis.BgRewriteAOF(ctx).Err()
	}
	if err == nil {
		err = Until(ctx, rewritePause, idle)
	}
	if err != nil {
		return fmt.Errorf("rewrite the append-only file: %w", err)
	}
	return nil
}

// RedisVersion is the server's version.
func (r *Rig) RedisVersion(ctx context.Context) (string, error) {
	info, err := r.Redis.InfoMap(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("ask redis for its version: %w", err)
	}
	return info["Server"]["redis_version"], nil
}

// RedisMemory is how many bytes Redis holds.
func (r *Rig) RedisMemory(ctx context.Context) (float64, error) {
	return r.redisNumber(ctx, "Memory", "used_memory")
}

func (r *Rig) redisNumber(ctx context.Context, section, name string) (float64, error) {
	info, err := r.Redis.InfoMap(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("ask redis for its %s: %w", name, err)
	}
	number, err := strconv.ParseFloat(info[section][name], 64)
	if err != nil {
		return 0, fmt.Errorf("read the %s of redis: %w", name, err)
	}
	return number, nil
}

// ResetStatistics lets pg_stat_statements and Redis' command statistics start
// from zero, and lets Redis note from now on what takes it a millisecond or more.
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

// CommandStats is a line for each command that Redis has carried out, the
// costliest first. A script's own cost contains that of its commands.
func (r *Rig) CommandStats(ctx context.Context) ([]string, error) {
	info, err := r.Redis.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return nil, fmt.Errorf("ask redis for its commands: %w", err)
	}
	var lines []string
	cost := map[string]float64{} // of each line, in µs
	for name, stats := range info["Commandstats"] {
		line := strings.TrimPrefix(name, "cmdstat_") + ": " + stats
		_, after, _ := strings.Cut(stats, "usec=")
		number, _, _ := strings.Cut(after, ",")
		if cost[line], err = strconv.ParseFloat(number, 64); err != nil {
			return nil, fmt.Errorf("read the cost of redis' %s: %w", name, err)
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Or(cmp.Compare(cost[b], cost[a]), cmp.Compare(a, b)) })
	return lines, nil
}

// Latencies is a line for each kind of event with which Redis kept its clients
// waiting for a millisecond or more since ResetStatistics.
func (r *Rig) Latencies(ctx context.Context) ([]string, error) {
	events, err := r.Redis.Latency(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ask redis for its latencies: %w", err)
	}
	lines := make([]string, len(events))
	for i, event := range events {
		lines[i] = fmt.Sprintf("%s: at most %s", event.Name, event.Max)
	}
	return lines, nil
}
