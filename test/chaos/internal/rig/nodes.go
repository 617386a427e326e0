package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/failpoint"
)

func (r *Rig) startNodes(ctx context.Context) error {
	// Nodes end with Close, and not with the context that they were started in.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	inFlight, retention := "", ""
	if r.Config.MaxInFlight > 0 {
		inFlight = strconv.Itoa(r.Config.MaxInFlight)
	}
	if r.Config.Retention > 0 {
		retention = r.Config.Retention.String()
	}
	for i := range r.Config.APIs {
		off := r.Config.ClockOff * time.Duration(i%2)
		n, err := r.startNode(ctx, "api", i, "API_SHUTDOWN_DELAY=0s", "CHAOS_CLOCK="+off.String(), "API_MAX_IN_FLIGHT="+inFlight)
		if err != nil {
			return err
		}
		r.APIs = append(r.APIs, n)
	}
	for i := range r.Config.Workers {
		n, err := r.startNode(ctx, "worker", i,
			"WORKER_CONCURRENCY="+strconv.Itoa(r.Config.Concurrency), "WORKER_LEASE="+r.Config.Lease.String(),
			"WORKER_DRAIN=2s", "TASK_TIMEOUT=10s", "WEBHOOK_ALLOW_PRIVATE=true", "CHAOS_RETENTION="+retention)
		if err != nil {
			return err
		}
		r.Workers = append(r.Workers, n)
	}
	return nil
}

func (r *Rig) startNode(ctx context.Context, program string, i int, env ...string) (*Node, error) {
	name := program + "-" + strconv.Itoa(i)
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(r.Record.Dir, name+".log")) //nolint:gosec // G304: the folder is the run's own.
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	n := &Node{
		Name: name, Addr: addr, record: r.Record, log: log, stopped: make(chan struct{}),
		binary: filepath.Join(r.scratch, "bin", program), plan: filepath.Join(r.scratch, name+".failpoints"),
	}
	n.env = slices.Concat(env, []string{
		"DATABASE_URL=" + strings.Replace(r.Postgres.URL(), r.postgresAddr(), r.PostgresProxy.Addr(), 1),
		"REDIS_URL=" + r.redisURL,
		"LISTEN_ADDR=" + addr, "WHEEL_HORIZON=" + r.Config.Horizon.String(), "LOG_LEVEL=info",
		"FAILPOINTS_FILE=" + n.plan, "FAILPOINTS_LOG=" + r.hitsFile(),
	})
	r.onClose(func() error { r.cancel(); return n.close() })
	go n.run(ctx)
	return n, nil
}

// freeAddr is an address that nobody listens on. A node keeps it for the run.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// Nodes are all of them.
func (r *Rig) Nodes() []*Node { return slices.Concat(r.APIs, r.Workers) }

// Passing are the nodes whose code passes a failpoint.
func (r *Rig) Passing(point string) []*Node {
	if point == failpoint.Inserted {
		return r.APIs
	}
	return r.Workers
}

// Hits is how often a failpoint struck any node of the rig.
func (r *Rig) Hits(point string) (int, error) {
	text, err := os.ReadFile(r.hitsFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read what the failpoints did: %w", err)
	}
	return strings.Count("\n"+string(text), "\n"+point+" "), nil
}

func (r *Rig) hitsFile() string { return filepath.Join(r.scratch, "failpoints.log") }

// declareTypes declares the types of the load: the general webhook, whose tasks name what
// they call, and types with an endpoint, which get that as their body.
func (r *Rig) declareTypes(ctx context.Context) error {
	r.Types = []client.Type{{Name: "webhook"}}
	for i := 1; i < r.Config.Types; i++ {
		t := client.Type{Name: fmt.Sprintf("load-%d", i), Handler: "webhook", Webhook: &client.Webhook{URL: r.Witness.URL("/")}}
		if err := r.PutType(ctx, t); err != nil {
			return err
		}
		r.Types = append(r.Types, t)
	}
	return nil
}

// PutType changes a type, by any API that answers. It is not over before one has.
func (r *Rig) PutType(ctx context.Context, t client.Type) error {
	return Retry(ctx, 2*time.Minute, func() error {
		api, err := client.New("http://" + r.APIs[rand.IntN(len(r.APIs))].Addr)
		if err != nil {
			return err
		}
		defer api.CloseIdleConnections()
		_, err = api.PutType(ctx, t)
		return err
	})
}

// Ready waits until every node serves.
func (r *Rig) Ready(ctx context.Context) error {
	for _, n := range r.Nodes() {
		err := Retry(ctx, time.Minute, func() error {
			_, err := n.Get(ctx, "/readyz")
			return err
		})
		if err != nil {
			return fmt.Errorf("%s is not ready, see its log: %w", n.Name, err)
		}
	}
	return nil
}
