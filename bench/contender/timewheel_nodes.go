package contender

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/witness"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/handler"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/node"
	"github.com/timewheel/timewheel/internal/scheduler"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/internal/worker"
)

// The pools are as large as those of services/api and services/worker.
const (
	apiConnections    = 16
	workerConnections = 10
)

// The collector's settings, as in the services too.
const (
	gcPercent   = 400
	memoryLimit = 96 << 20
)

// RunTimewheelAPI is services/api, part for part, with a door for the profiler.
// It is only there to be profiled.
func RunTimewheelAPI(ctx context.Context) error {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	cfg, err := config.LoadAPI()
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	stores, err := node.Open(ctx, cfg.Shared, node.Needs{Work: apiConnections}, log)
	if err != nil {
		return err
	}
	defer stores.Close()
	registry := telemetry.NewRegistry()
	handlers := handler.New(handler.Options{BarURL: cfg.BarURL, Log: log})
	api := httpapi.New(httpapi.Options{
		Tasks: scheduler.New(stores.DB, stores.Wheel, cfg.WheelHorizon, log),
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
	listener, err := net.Listen("tcp", cfg.ListenAddr) //nolint:noctx // It does not wait.
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	rig.Announce(listener.Addr().String())
	return telemetry.Serve(ctx, listener, besideBench(api), 0, log)
}

// besideBench sends the driver's calls to a witness and all others straight to
// the API, which must not pay for another router.
func besideBench(api http.Handler) http.Handler {
	bench := witness.New().Handler(nil)
	return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		if strings.HasPrefix(request.URL.Path, "/bench/") {
			bench.ServeHTTP(out, request)
			return
		}
		api.ServeHTTP(out, request)
	})
}

// RunTimewheelWorker is services/worker, part for part, with a handler that
// does nothing in place of those that ship. The background loops run at once;
// claiming begins when the driver lets it.
func RunTimewheelWorker(ctx context.Context) error {
	debug.SetGCPercent(gcPercent)
	cfg, err := config.LoadWorker()
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	stores, err := node.Open(ctx, cfg.Shared, node.Needs{Work: workerConnections}, log)
	if err != nil {
		return err
	}
	defer stores.Close()
	listener, err := net.Listen("tcp", cfg.ListenAddr) //nolint:noctx // It does not wait.
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	rig.Announce(listener.Addr().String())
	return workTimewheel(ctx, cfg, stores, listener, log)
}

func workTimewheel(ctx context.Context, cfg config.Worker, stores *node.Stores, listener net.Listener, log *slog.Logger) error {
	seen := witness.New()
	registry := telemetry.NewRegistry()
	nothing := func(_ context.Context, t *task.Task) (json.RawMessage, error) { //nolint:unparam // A handler has a result.
		seen.Saw(t.ExecutionTime)
		return nil, nil
	}
	lookup := func(taskType string) (worker.Handler, bool) { return nothing, taskType == noop }
	node := worker.New(stores.DB, stores.Wheel, lookup, worker.Config{
		Host:        fmt.Sprintf("bench/%d", os.Getpid()),
		Concurrency: cfg.Concurrency,
		Lease:       cfg.Lease,
		TaskTimeout: cfg.TaskTimeout,
		Drain:       cfg.Drain,
	}, log, registry)
	keeper := scheduler.NewKeeper(stores.DB, stores.Wheel, scheduler.KeeperConfig{
		Horizon:   cfg.WheelHorizon,
		Grace:     worker.Grace,
		Retention: cfg.Retention,
		Judge:     node.Session,
		Lease:     cfg.Lease,
		Metrics:   registry,
	}, log)
	admin := seen.Handler(telemetry.Admin(registry, stores.Ready))

	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	drained, done := context.WithCancel(failed)
	defer done()
	group.Go(func() error { return telemetry.Serve(drained, listener, admin, 0, log) })
	group.Go(func() error { return keeper.Run(drained) })
	group.Go(func() error {
		defer done()
		working, stop := context.WithCancel(failed)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		if err := seen.Released(working); err != nil {
			return nil // It was stopped before it was let go.
		}
		return node.Run(working)
	})
	return group.Wait()
}
