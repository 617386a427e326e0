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
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// page is the most tasks that one script call takes: meanwhile Redis serves no other
// client.
const page = 1000

// MinVersion is the oldest Redis that is supported.
const MinVersion = "6.2"

// Wheel is a connection to the due index.
type Wheel struct {
	client       redis.UniversalClient
	cluster      bool // what concerns two types may be on two servers
	names        names
	installation string
	revived      atomic.Int64
	agendaAway   atomic.Int64 // until when (unix ns) nothing is marked; see markOnly
}

// Options are how the due index is reached.
type Options struct {
	// URL is in one of the forms that ParseURL reads.
	URL string
	// Prefix is what all names begin with. Empty is timewheel.
	Prefix string
	// Installation names the Postgres whose index it is. With none, any
	// index will do.
	Installation string
}

// Open prepares a client. It does not connect.
func Open(o Options) (*Wheel, error) {
	opts, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
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
	return &Wheel{
		client: redis.NewUniversalClient(opts), cluster: opts.IsClusterMode,
		names: newNames(cmp.Or(o.Prefix, "timewheel")), installation: o.Installation,
	}, nil
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

// Server is what Redis says of itself.
type Server struct {
	Version string
	// RunID changes with every start of the server: what it holds may then be
	// older than what was written. Without the right to ask it is always the same.
	RunID string
}

// Server asks Redis for its version and run. Of several servers it is the oldest version,
// and the runs of all of them.
func (w *Wheel) Server(ctx context.Context) (s Server, err error) {
	var mu sync.Mutex
	var runs []string
	err = w.eachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		one, err := serverOf(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		runs = append(runs, one.RunID)
		if s.Version == "" || older(one.Version, s.Version) {
			s.Version = one.Version
		}
		return err
	})
	slices.Sort(runs)
	s.RunID = strings.Join(runs, ",")
	return s, err
}

func serverOf(ctx context.Context, client *redis.Client) (s Server, err error) {
	info, err := client.Info(ctx, "server").Result()
	if isRefusal(err, "NOPERM") {
		return Server{RunID: "unknown"}, nil
	}
	if err != nil {
		return s, fmt.Errorf("ask Redis for its version: %w", err)
	}
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

// RunID names the present run of the server. What it holds after a restart may
// be older than what was written.
func (w *Wheel) RunID(ctx context.Context) (string, error) {
	s, err := w.Server(ctx)
	return s.RunID, err
}
