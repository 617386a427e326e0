package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/catalog"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/keyring"
	"github.com/timewheel/timewheel/internal/postgres"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/tasktype"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/internal/wheel"
)

const (
	// apiWork are the API's connections to Postgres for creates and deletes: ten for
	// creates when some are slow, and two for bulk creates. Lists and look-ups have
	// apiReads of their own.
	apiWork, apiReads = 12, 6
	// gcPercent trades memory for time: the heap is a few megabytes, and most of what
	// a task needs is garbage a millisecond later.
	gcPercent = 400
	// apiMemory is where that trade ends in the API, in bytes: the bodies of large
	// bulk creates are a heap of their own. It is a wish to the collector, and no bound.
	apiMemory = 96 << 20
)

// RunAPI serves the REST API until ctx ends. It logs to out.
func RunAPI(ctx context.Context, cfg config.API, out io.Writer) error {
	debug.SetGCPercent(gcPercent)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(apiMemory)
	}
	log := telemetry.NewLogger(out, cfg.LogLevel, cfg.LogFormat)
	end := teardown{log: log}
	defer end.run()

	stores, err := openStores(ctx, cfg.Shared, needs{work: apiWork, reads: apiReads}, log)
	if err != nil {
		return err
	}
	end.add("close the stores", stores.close)
	tracing, err := startTracing(ctx, cfg.Shared, "timewheel-api", &end)
	if err != nil {
		return err
	}
	tasks := scheduler.New(stores.db, stores.wheel, cfg.WheelHorizon, log)
	end.add("update the due index", tasks.Close)

	registry := telemetry.NewRegistry()
	known := catalog.New(stores.db, log)
	if err := known.Refresh(ctx); err != nil {
		return err
	}
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	var followers sync.WaitGroup
	followers.Go(func() { _ = known.Run(following) }) // which ends without an error
	end.add("stop following the task types and the keys", func(context.Context) error {
		stopFollowing()
		followers.Wait()
		return nil
	})
	checks := &payloads{
		shipped:  tasktype.New(tasktype.Options{BarURL: cfg.BarURL, MaxDuration: cfg.TaskTimeout, Log: log}),
		compiled: map[string]compiledSchema{},
	}
	pair, err := loadPair(cfg.Shared, registry, log)
	if err != nil {
		return err
	}
	options := httpapi.Options{
		Tasks: tasks, Reader: stores.db,
		Types:       types{known, stores.db, stores.wheel},
		Schedules:   schedules{stores.db, tasks},
		Operations:  stores.db,
		Validate:    checks.Validate,
		CheckType:   checks.CheckType,
		Ready:       stores.ready,
		Registry:    registry,
		Log:         log,
		Tracer:      tracing.Tracer,
		MaxInFlight: cfg.MaxInFlight,
	}
	if cfg.Auth == "keys" {
		ring := keyring.New(stores.db, log)
		if err := ring.Refresh(ctx); err == nil && ring.Admins() == 0 { // or it is asked for with the first key
			log.Warn("no key has the scope admin: api key create --name NAME --scopes admin makes one")
		}
		followers.Go(func() { _ = ring.Run(following) })
		options.Keys = keys{ring, stores.db}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	if cfg.Auth != "keys" && !isLoopback(listener) {
		log.Warn("everybody who reaches this address may do everything: AUTH=keys asks for keys", "addr", listener.Addr().String())
	}
	options.Loopback, options.Hosts = isLoopback(listener), cfg.Hosts
	return serve(ctx, listener, pair, httpapi.New(options), cfg.ShutdownDelay, log)
}

// types looks at task types and changes them: Postgres decides, and what this node has
// changed is known to it at once.
type types struct {
	*catalog.Catalog
	db    *postgres.DB
	index *wheel.Wheel
}

// GetType reads a type.
func (t types) GetType(ctx context.Context, name string) (task.Type, error) {
	return t.db.GetType(ctx, name)
}

// AllTypes reads all types.
func (t types) AllTypes(ctx context.Context) ([]task.Type, error) {
	all, err := t.db.Types(ctx, 0)
	return all.Changed, err
}

// PutType creates or replaces a type.
func (t types) PutType(ctx context.Context, put task.Type) (task.Type, bool, error) {
	put, created, err := t.db.PutType(ctx, put)
	if err == nil {
		_ = t.Refresh(ctx) // or it is known a moment later
		t.tell(ctx, put)
	}
	return put, created, err
}

// tellTimeout bounds what a client waits for Redis, which is a hint.
const tellTimeout = 250 * time.Millisecond

// tell wakes the workers to look at the types, and tells Redis how many tasks more may run,
// for what waits for the limit of before. Should it fail, they look at it a moment later.
func (t types) tell(ctx context.Context, put task.Type) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	_ = t.index.TypesChanged(ctx)
	if put.MaxRunning == nil {
		return
	}
	if rooms, err := t.db.Rooms(ctx); err == nil {
		_ = t.index.RaiseRoom(ctx, map[string]int{put.Name: rooms[put.Name]})
	}
}

// DeleteType deletes a type.
func (t types) DeleteType(ctx context.Context, name string) error {
	err := t.db.DeleteType(ctx, name)
	if err == nil {
		_ = t.Refresh(ctx) // as above
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
		defer cancel()
		_ = t.index.DropType(ctx, name)
	}
	return err
}
