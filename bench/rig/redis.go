package rig

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rewritePause is between two looks at a rewrite of the append-only file.
const rewritePause = 5 * time.Millisecond

func (r *Rig) flushRedis(ctx context.Context) error {
	if err := r.Redis.FlushAll(ctx).Err(); err != nil {
		return err
	}
	if err := r.Redis.ConfigResetStat(ctx).Err(); err != nil {
		return err
	}
	return r.rewriteAppendOnly(ctx)
}

// rewriteAppendOnly rewrites the append-only file and waits for the end of it.
func (r *Rig) rewriteAppendOnly(ctx context.Context) error {
	if err := r.awaitRewrite(ctx); err != nil {
		return err
	}
	if err := r.Redis.BgRewriteAOF(ctx).Err(); err != nil {
		return fmt.Errorf("rewrite the append-only file: %w", err)
	}
	return r.awaitRewrite(ctx)
}

func (r *Rig) awaitRewrite(ctx context.Context) error {
	for {
		info, err := r.redisInfo(ctx, "persistence")
		if err != nil {
			return err
		}
		if info["aof_rewrite_in_progress"] == "0" && info["aof_rewrite_scheduled"] == "0" {
			return nil
		}
		if err := Pause(ctx, rewritePause); err != nil {
			return err
		}
	}
}

// RedisMemory is how many bytes Redis holds.
func (r *Rig) RedisMemory(ctx context.Context) (float64, error) {
	return r.redisNumber(ctx, "memory", "used_memory")
}

// RedisCommands is how many commands Redis has carried out, those inside
// scripts included.
func (r *Rig) RedisCommands(ctx context.Context) (float64, error) {
	return r.redisNumber(ctx, "stats", "total_commands_processed")
}

func (r *Rig) redisNumber(ctx context.Context, section, name string) (float64, error) {
	info, err := r.redisInfo(ctx, section)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseFloat(info[name], 64)
	if err != nil {
		return 0, fmt.Errorf("read %s of redis: %w", name, err)
	}
	return number, nil
}

// CommandStats is a line for each command that Redis has carried out, the
// costliest first. A script's own cost contains that of its commands.
func (r *Rig) CommandStats(ctx context.Context) ([]string, error) {
	stats, err := r.redisInfo(ctx, "commandstats")
	if err != nil {
		return nil, err
	}
	cost := make(map[string]int, len(stats)) // µs
	for name, text := range stats {
		_, after, _ := strings.Cut(text, "usec=")
		number, _, _ := strings.Cut(after, ",")
		if cost[name], err = strconv.Atoi(number); err != nil {
			return nil, fmt.Errorf("read the cost of redis' %s: %w", name, err)
		}
	}
	names := slices.SortedFunc(maps.Keys(stats), func(a, b string) int {
		return cmp.Or(cmp.Compare(cost[b], cost[a]), strings.Compare(a, b))
	})
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = strings.TrimPrefix(name, "cmdstat_") + ": " + stats[name]
	}
	return lines, nil
}

// Latencies is a line for each kind of event with which Redis kept its clients
// waiting for a millisecond or more since ResetStatistics, which lets it note them.
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

func (r *Rig) redisInfo(ctx context.Context, section string) (map[string]string, error) {
	text, err := r.Redis.Info(ctx, section).Result()
	if err != nil {
		return nil, fmt.Errorf("ask redis for %s: %w", section, err)
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info, nil
}

// Pause waits for d or the end of ctx, which is the error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
