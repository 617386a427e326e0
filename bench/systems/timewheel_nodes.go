package systems

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/timewheel/timewheel/bench/witness"
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
)

// RunTimewheelAPI is the API as it is deployed, with a door for the profiler. It is
// only there to be profiled.
func RunTimewheelAPI(ctx context.Context) error {
	cfg, err := config.LoadAPI()
	if err != nil {
		return err
	}
	cfg.ShutdownDelay = 0 // Nobody balances here.
	return app.API{Wrap: besideBench}.Run(ctx, cfg, os.Stderr)
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

// RunTimewheelWorker is the worker as it is deployed, with a handler that does nothing
// in place of those that ship. The background loops run at once; claiming begins when
// the driver lets it.
func RunTimewheelWorker(ctx context.Context) error {
	cfg, err := config.LoadWorker()
	if err != nil {
		return err
	}
	seen := witness.New()
	nothing := func(_ context.Context, t *task.Task) (json.RawMessage, error) { //nolint:unparam // A handler has a result.
		seen.Saw(t.ExecutionTime)
		return nil, nil
	}
	return app.Worker{
		Lookup: func(taskType string) (worker.Handler, bool) { return nothing, taskType == noop },
		Wrap:   seen.Handler,
		Hold:   seen.Released,
	}.Run(ctx, cfg, os.Stderr)
}
