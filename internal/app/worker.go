package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/catalog"
	"github.com/timewheel/timewheel/internal/certs"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/maintenance"
	"github.com/timewheel/timewheel/internal/tasktype"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/test/failpoint"
)

// workerConnections are a worker's to Postgres: for starts of overlapping batches, ends
// and the background loops.
const workerConnections = 9

// Worker is a worker node. The zero value is the one that is deployed; its fields are
// for those who run it under observation.
type Worker struct {
	// Lookup finds handlers. Nil: those of the task types that ship.
	Lookup worker.Lookup
	// Hold returns when claiming may begin. Nil: at once.
	Hold func(context.Context) error
}

// Run executes tasks and runs the maintenance until ctx ends, and drains then. It logs
// to out.
func (w Worker) Run(ctx context.Context, cfg config.Worker, out io.Writer) error {
	debug.SetGCPercent(gcPercent)
	log := telemetry.NewLogger(out, cfg.LogLevel, cfg.LogFormat)
	end := teardown{log: log}
	defer end.run()

	stores, err := openStores(ctx, cfg.Shared, needs{work: workerConnections, redis: true}, log)
	if err != nil {
		return err
	}
	end.add("close the stores", stores.close)
	tracing, err := startTracing(ctx, cfg.Shared, "timewheel-worker", &end)
	if err != nil {
		return err
	}
	types := catalog.New(stores.db, log)
	if err := types.Refresh(ctx); err != nil {
		return err
	}
	if w.Lookup == nil {
		handlers := tasktype.New(tasktype.Options{
			BarURL: cfg.BarURL, MaxDuration: cfg.TaskTimeout, AllowPrivate: cfg.AllowPrivate, Log: log,
		})
		w.Lookup = func(name string) (worker.Handler, bool) {
			t, declared := types.Type(name)
			if !declared {
				return nil, false
			}
			return handlers.Handler(t)
		}
	}
	registry := telemetry.NewRegistry()
	runner := worker.New(stores.db, stores.wheel, types, w.Lookup, worker.Config{
		Host:        telemetry.Instance(),
		Concurrency: cfg.Concurrency,
		OwnSlots:    ownSlots(cfg),
		Types:       cfg.Types.Names,
		Lease:       cfg.Lease,
		TaskTimeout: cfg.TaskTimeout,
		Drain:       cfg.Drain,
		Tracer:      tracing.Tracer,
	}, log, registry)
	loops := maintenance.New(stores.db, stores.wheel, maintenance.Config{
		Horizon:      cfg.WheelHorizon,
		LegacyShards: cfg.WheelShards,
		Grace:        worker.Grace,
		Retention:    failpoint.Keep(cfg.Retention),
		Judge:        runner.Session,
		Lease:        cfg.Lease,
		Metrics:      registry,
	}, log)
	pair, err := loadPair(cfg.Shared, registry, log)
	if err != nil {
		return err
	}
	admin := telemetry.Admin(registry, untilDraining(ctx, stores.ready))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	return w.work(ctx, runner, loops, types, server{listener, pair, admin}, log)
}

// ownSlots are the slots of types that share none: those that are given, or all for a type
// that is served alone.
func ownSlots(cfg config.Worker) map[string]int {
	if len(cfg.Types.Names) == 1 && cfg.Types.Slots == nil {
		return map[string]int{cfg.Types.Names[0]: cfg.Concurrency}
	}
	return cfg.Types.Slots
}

// server is what a worker serves.
type server struct {
	listener net.Listener
	pair     *certs.Pair
	handler  http.Handler
}

// work runs the worker, the maintenance and the server until ctx ends or one of them
// fails. Maintenance and server stay while the worker drains.
func (w Worker) work(
	ctx context.Context, runner *worker.Worker, loops *maintenance.Maintainer, types *catalog.Catalog,
	admin server, log *slog.Logger,
) error {
	group, groupCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	background, stopBackground := context.WithCancel(groupCtx)
	defer stopBackground()
	group.Go(func() error { return serve(background, admin.listener, admin.pair, admin.handler, 0, log) })
	group.Go(func() error { return loops.Run(background) })
	group.Go(func() error { return types.Run(background) })
	group.Go(func() error {
		defer stopBackground()
		claiming, stopClaiming := context.WithCancel(groupCtx)
		defer stopClaiming()
		defer context.AfterFunc(ctx, stopClaiming)()
		if w.Hold != nil && w.Hold(claiming) != nil {
			return nil // It was stopped before it began.
		}
		return runner.Run(claiming)
	})
	return group.Wait()
}

// untilDraining is not ready once ctx has ended, though its health is still told.
func untilDraining(ctx context.Context, ready telemetry.Ready) telemetry.Ready {
	return func(asked context.Context) (map[string]string, bool) {
		checks, ok := ready(asked)
		if ctx.Err() != nil {
			checks["worker"], ok = "draining", false
		}
		return checks, ok
	}
}
