// Command api is the HTTP service: it takes tasks over REST, commits them in
// Postgres and tells Redis. Any number of them may run side by side.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/handler"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/node"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// workConnections are those to Postgres for creates and deletes: ten for creates when
// some are slow, and two for batches. Lists and look-ups have their own.
const workConnections, readConnections = 12, 6

// gcPercent trades memory for time: the heap is a few megabytes, and most of
// what a task needs is garbage a millisecond later.
const gcPercent = 400

// memoryLimit is where that trade ends, in bytes: the bodies of large batches
// are a heap of their own. It is a wish to the collector, and no bound.
const memoryLimit = 96 << 20

// closeTimeout bounds what an API still has to tell Redis at its end.
const closeTimeout = 5 * time.Second

func main() {
	debug.SetGCPercent(gcPercent)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	node.Service[config.API]{
		Name: "api",
		Load: config.LoadAPI,
		Addr: func(cfg config.API) string { return cfg.ListenAddr },
		Run:  run,
	}.Main()
}

func run(ctx context.Context, cfg config.API, out io.Writer) error {
	log := telemetry.NewLogger(out, cfg.LogLevel, cfg.LogFormat)
	stores, err := node.Open(ctx, cfg.Shared, node.Needs{Work: workConnections, Reads: readConnections}, log)
	if err != nil {
		return err
	}
	defer stores.Close()

	registry := telemetry.NewRegistry()
	handlers := handler.New(handler.Options{BarURL: cfg.BarURL, MaxDuration: cfg.TaskTimeout, Log: log})
	tasks := scheduler.New(stores.DB, stores.Wheel, cfg.WheelHorizon, log)
	api := httpapi.New(httpapi.Options{
		Tasks: tasks,
		Types: handlers.Types(),
		Validate: func(taskType string, payload json.RawMessage) (faults []httpapi.FieldError) {
			for _, p := range handlers.Validate(taskType, payload) {
				faults = append(faults, httpapi.FieldError{Field: p.Field, Message: p.Message})
			}
			return faults
		},
		Ready:       stores.Ready,
		Registry:    registry,
		Log:         log,
		MaxInFlight: cfg.MaxInFlight,
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.ListenAddr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	err = telemetry.Serve(ctx, listener, api, cfg.ShutdownDelay, log)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	tasks.Close(bounded)
	return err
}
