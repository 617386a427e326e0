package rig

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/timewheel/timewheel/internal/wheel"
	"github.com/timewheel/timewheel/test/testkit/stores"
)

// The ways in which Redis runs.
const (
	Single   = "single"
	Sentinel = "sentinel"
	Cluster  = "cluster"
)

// failover is how long a master is silent before another one takes its place.
const failover = time.Second

// LegacyKey is one of the index of versions before rings by type.
const LegacyKey = "timewheel:{0}:due"

// startRedis starts Redis as the run wants it.
func (r *Rig) startRedis(ctx context.Context) (err error) {
	var server interface {
		URL() string
		Close() error
	}
	switch r.Config.Redis {
	case Sentinel:
		r.Sentinel, err = stores.StartSentinel(ctx, failover)
		server = r.Sentinel
	case Cluster:
		r.Cluster, err = stores.StartCluster(ctx, 3, true, failover)
		server = r.Cluster
	case Single:
		r.Redis, err = stores.StartRedis(ctx, stores.Options{
			Dir:      filepath.Join(r.scratch, "redis"),
			Settings: map[string]string{"appendonly": "no", "enable-debug-command": "local"},
		})
		server = r.Redis
	default:
		err = fmt.Errorf("start redis: %q is neither single, sentinel nor cluster", r.Config.Redis)
	}
	if err != nil {
		return err
	}
	r.onClose(server.Close)
	r.redisURL = server.URL()
	options, err := wheel.ParseURL(r.redisURL)
	if err != nil {
		return err
	}
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	r.Ring = redis.NewUniversalClient(options)
	r.onClose(r.Ring.Close)
	return nil
}

// EachMaster calls f with each server that has keys of its own.
func (r *Rig) EachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	switch ring := r.Ring.(type) {
	case *redis.ClusterClient:
		return ring.ForEachMaster(ctx, f)
	case *redis.Client:
		return f(ctx, ring)
	default:
		return fmt.Errorf("a client of the type %T has no masters", ring)
	}
}

// Command carries out one command on each master.
func (r *Rig) Command(ctx context.Context, command ...any) error {
	return r.EachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return master.Do(ctx, command...).Err() })
}

// Keys are all that match a pattern, in order.
func (r *Rig) Keys(ctx context.Context, pattern string) (keys []string, err error) {
	var mu sync.Mutex
	err = r.EachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		some, err := master.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, some...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the keys of redis: %w", err)
	}
	slices.Sort(keys)
	return keys, nil
}

// Whole is nil if each server is there, and has a replica that is connected or is one.
func (r *Rig) Whole(ctx context.Context) error {
	nodes, masters := 2, 1
	if r.Cluster != nil {
		nodes, masters = len(r.Cluster.Nodes), len(r.Cluster.Nodes)/2
	}
	var mu sync.Mutex
	found, replicas := 0, 0
	err := r.EachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		about, err := master.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found += strings.Count(about, "role:master")
		replicas += strings.Count(about, "state=online")
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the servers of redis: %w", err)
	}
	if found != masters || found+replicas != nodes {
		return fmt.Errorf("%d masters of redis have %d replicas", found, replicas)
	}
	return nil
}
