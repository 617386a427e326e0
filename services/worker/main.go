// Command worker is a worker node: it executes tasks when they are due, and
// keeps the two rings of the wheel true. Any number of them may run side by
// side.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/handler"
	"github.com/timewheel/timewheel/internal/node"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/internal/worker"
)

// connections are those to Postgres for starts of overlapping batches, ends and the
// background loops.
const connections = 9

// gcPercent trades memory for time: the heap is a few megabytes, and most of
// what a task needs is garbage a millisecond later.
const gcPercent = 400

func main() {
	debug.SetGCPercent(gcPercent)
	node.Service[config.Worker]{
		Name: "worker",
		Load: config.LoadWorker,
		Addr: func(cfg config.Worker) string { return cfg.ListenAddr },
		Run:  run,
	}.Main()
}

func run(ctx context.Context, cfg config.Worker, out io.Writer) error {
	log := telemetry.NewLogger(out, cfg.LogLevel, cfg.LogFormat)
	stores, err := node.Open(ctx, cfg.Shared, node.Needs{Work: connections, Redis: true}, log)
	if err != nil {
		return err
	}
	defer stores.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	return work(ctx, cfg, stores, listener, log)
}

// work runs the worker, the background loops and the health server until ctx
// ends or one of them fails. The loops and the server stay while the worker
// drains.
func work(ctx context.Context, cfg config.Worker, stores *node.Stores, listener net.Listener, log *slog.Logger) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host's name: %w", err)
	}
	registry := telemetry.NewRegistry()
	handlers := handler.New(handler.Options{BarURL: cfg.BarURL, MaxDuration: cfg.TaskTimeout, AllowPrivate: cfg.AllowPrivate, Log: log})
	lookup := func(taskType string) (worker.Handler, bool) { return handlers.Lookup(taskType) }
	runner := worker.New(stores.DB, stores.Wheel, lookup, worker.Config{
		Host:        fmt.Sprintf("%s/%d", host, os.Getpid()),
		Concurrency: cfg.Concurrency,
		Lease:       cfg.Lease,
		TaskTimeout: cfg.TaskTimeout,
		Drain:       cfg.Drain,
	}, log, registry)
	keeper := scheduler.NewKeeper(stores.DB, stores.Wheel, scheduler.KeeperConfig{
		Horizon:   cfg.WheelHorizon,
		Grace:     worker.Grace,
		Retention: cfg.Retention,
		Judge:     runner.Session,
		Lease:     cfg.Lease,
		Metrics:   registry,
	}, log)

	// A worker that drains is not ready, though its health is still told.
	ready := func(asked context.Context) (checks map[string]string, ready bool) {
		checks, ready = stores.Ready(asked)
		if ctx.Err() != nil {
			checks["worker"], ready = "draining", false
		}
		return checks, ready
	}

	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	drained, done := context.WithCancel(failed)
	defer done()
	group.Go(func() error { return telemetry.Serve(drained, listener, telemetry.Admin(registry, ready), 0, log) })
	group.Go(func() error { return keeper.Run(drained) })
	group.Go(func() error {
		defer done()
		working, stop := context.WithCancel(failed)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		return runner.Run(working)
	})
	return group.Wait()
}
