// Package wheel is the due index: what falls due within the horizon, in Redis
// sorted sets, claimed by atomic scripts.
//
// Nothing here is a permission to run a task. The index is a hint that can be
// rebuilt from the system of record at any time; losing all of it costs
// lateness and no more. Redis' own clock decides what is due.
//
// The name and the rings are after Varghese and Lauck, "Hashed and
// Hierarchical Timing Wheels" (SOSP 1987).
package wheel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/lua"
)

// page is the most tasks that one script call takes: meanwhile Redis serves no other
// client.
const page = 1000

// MinVersion is the oldest Redis that is supported.
const MinVersion = "6.2"

var (
	claimScript   = redis.NewScript(lua.Claim)
	indexScript   = redis.NewScript(lua.Index)
	leaveScript   = redis.NewScript(lua.Leave)
	releaseScript = redis.NewScript(lua.Release)
	reviveScript  = redis.NewScript(lua.Revive)
	leadScript    = redis.NewScript(lua.Lead)
)

// Wheel is a connection to the due index.
type Wheel struct {
	client       *redis.Client
	prefix       string
	epoch        string
	installation string
	shards       []shardKeys
}

// Options are how the due index is reached.
type Options struct {
	// URL is a redis:// URL.
	URL string
	// Prefix is what all names begin with. Empty is timewheel.
	Prefix string
	// Shards is the number of parts.
	Shards int
	// Installation names the Postgres whose index it is. With none, any
	// index will do.
	Installation string
}

// Open prepares a client. It does not connect.
func Open(o Options) (*Wheel, error) {
	opts, err := redis.ParseURL(o.URL)
	if err != nil {
		// The error may quote the URL, which holds the password.
		return nil, errors.New("REDIS_URL is not a valid redis:// URL")
	}
	// A retried claim whose first reply was lost would take a second batch.
	// The loops above have pauses of their own, and creates must not wait.
	opts.MaxRetries = -1
	opts.DialTimeout = time.Second
	opts.DialerRetries = 1
	opts.ReadTimeout = 3 * time.Second
	opts.WriteTimeout = 3 * time.Second
	opts.ContextTimeoutEnabled = true
	// Both handshakes are errors to older servers.
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	prefix := cmp.Or(o.Prefix, "timewheel")
	w := &Wheel{client: redis.NewClient(opts), prefix: prefix, epoch: epochOf(prefix), installation: o.Installation}
	for shard := range o.Shards {
		w.shards = append(w.shards, newShardKeys(prefix, shard))
	}
	return w, nil
}

// go-redis has one global logger: set it before any client exists, to avoid a data race.
func init() { redis.SetLogger(noLog{}) }

// noLog discards the client library's own log, which writes plain text to the standard
// error. Every error is returned as well.
type noLog struct{}

// Printf writes nothing.
func (noLog) Printf(context.Context, string, ...any) {}

// Close closes every connection.
func (w *Wheel) Close() error { return w.client.Close() }

// Ping reports whether Redis answers.
func (w *Wheel) Ping(ctx context.Context) error { return w.client.Ping(ctx).Err() }

// Shards is the number of shards, which are numbered from 0.
func (w *Wheel) Shards() int { return len(w.shards) }

// Server is what Redis says of itself.
type Server struct {
	Version string
	// RunID changes with every start of the server: what it holds may then be
	// older than what was written. Without the right to ask it is always the same.
	RunID string
}

// Server asks Redis for its version and run.
func (w *Wheel) Server(ctx context.Context) (Server, error) {
	info, err := w.client.Info(ctx, "server").Result()
	if isRefusal(err, "NOPERM") {
		return Server{RunID: "unknown"}, nil
	}
	if err != nil {
		return Server{}, fmt.Errorf("ask Redis for its version: %w", err)
	}
	var s Server
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			s.Version = value
		case "run_id":
			s.RunID = value
		}
	}
	return s, nil
}

// Supported refuses, in one sentence, a server that is too old.
func (s Server) Supported() error {
	if older(s.Version, MinVersion) {
		return fmt.Errorf("redis %s is too old: at least version %s is needed", s.Version, MinVersion)
	}
	return nil
}

func older(version, than string) bool {
	have, want := strings.Split(version, "."), strings.Split(than, ".")
	for i, w := range want {
		if i == len(have) {
			return true
		}
		h, _ := strconv.Atoi(have[i])
		if n, _ := strconv.Atoi(w); h != n {
			return h < n
		}
	}
	return false
}

// micros is a time as a score. All scores are exact in a double: what is due
// before 1970 is as due as can be, and nothing beyond the year 2255 comes
// within a horizon.
func micros(t time.Time) int64 { return max(0, t.UnixMicro()) }

func (w *Wheel) keysOf(id task.ID) shardKeys { return w.shards[shardOf(id, len(w.shards))] }

// RunID names the present run of the server. What it holds after a restart may
// be older than what was written.
func (w *Wheel) RunID(ctx context.Context) (string, error) {
	s, err := w.Server(ctx)
	return s.RunID, err
}
