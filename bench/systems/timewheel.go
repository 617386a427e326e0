package systems

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/migrations"
)

const (
	// apiRole is the role of timewheel's API.
	apiRole = "timewheel-api"
	// requestPatience is longer than the API takes to answer at most.
	requestPatience = 30 * time.Second
	// batchLimit is how many tasks one request may create.
	batchLimit = 1000
)

func timewheel() System {
	return System{
		Name:    "timewheel",
		API:     apiRole,
		Migrate: func(_ context.Context, url string) error { return migrations.Up(url) },
		Connect: connectTimewheel,
		Settings: map[Purpose][]Setting{
			Rate:     {{"WORKER_CONCURRENCY=4000"}, {"WORKER_CONCURRENCY=1000"}, {"WORKER_CONCURRENCY=8000"}},
			Lateness: {{"WORKER_CONCURRENCY=10000"}},
			Rest:     {{"WORKER_CONCURRENCY=100"}},
		},
	}
}

func runTimewheelAPI(ctx context.Context, log *rig.Witness) error {
	cfg, err := config.LoadAPI()
	if err != nil {
		return err
	}
	return app.RunAPI(ctx, cfg, log)
}

// runTimewheelWorker is the worker as it is deployed, with a handler that does nothing in
// place of those that ship. The background loops run at once; claiming begins when the
// driver lets it.
func runTimewheelWorker(ctx context.Context, seen *rig.Witness) error {
	cfg, err := config.LoadWorker()
	if err != nil {
		return err
	}
	nothing := func(_ context.Context, t *task.Task) (json.RawMessage, error) { //nolint:unparam // A handler has a result.
		seen.Saw(t.ExecutionTime)
		return nil, nil
	}
	return app.Worker{
		Lookup: func(taskType string) (worker.Handler, bool) { return nothing, taskType == noop },
		Hold:   seen.Hold,
	}.Run(ctx, cfg, os.Stderr)
}

// timewheelHistory makes rows, given their number and the types.
//
//go:embed timewheel_history.sql
var timewheelHistory string

type timewheelClient struct {
	store
	redis *redis.Client
	http  *fasthttp.HostClient
}

func connectTimewheel(ctx context.Context, r *rig.Rig, api string) (Client, error) {
	// It asks through indexes, as timewheel's own pool does: to look through a long history
	// for what is left would be measured as work.
	pool, err := openPool(ctx, r.DatabaseURL, "enable_seqscan=off&enable_bitmapscan=off")
	if err != nil {
		return nil, err
	}
	return &timewheelClient{
		store: store{
			pool: pool, table: "tasks", finished: "status = 'done'", history: timewheelHistory,
			idle: `SELECT NOT EXISTS (SELECT FROM tasks WHERE outcome = 'open' AND due_at <= now() ORDER BY due_at LIMIT 1)`,
		},
		redis: r.Redis,
		// No request is sent twice: what is repeated would be measured once.
		http: &fasthttp.HostClient{Addr: api, MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true},
	}, nil
}

// Close closes the connections.
func (c *timewheelClient) Close() error {
	c.http.CloseIdleConnections()
	return c.store.Close()
}

// do sends one request, by a client that costs the machine, which it shares with the
// server, much less than that of net/http does.
func (c *timewheelClient) do(ctx context.Context, method, path, body string, want int) ([]byte, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(method)
	request.Header.SetContentType("application/json")
	request.SetRequestURI("http://" + c.http.Addr + path)
	request.SetBodyString(body)
	if err := c.http.DoTimeout(request, response, requestPatience); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	answer := slices.Clone(response.Body())
	if got := response.StatusCode(); got != want {
		return nil, fmt.Errorf("%s %s was answered %d: %.512s", method, path, got, answer)
	}
	return answer, ctx.Err()
}

// Create posts one task.
func (c *timewheelClient) Create(ctx context.Context, due time.Time) error {
	_, err := c.do(ctx, fasthttp.MethodPost, "/task", timewheelTask(due), fasthttp.StatusCreated)
	return err
}

// timewheelTask is one task as the API takes it.
func timewheelTask(due time.Time) string {
	at := due.UTC().Format("2006-01-02T15:04:05.000000Z")
	return `{"task_type":"` + noop + `","execution_time":"` + at + `","payload":` + payload + `}`
}

// Bulks has the one request for many tasks.
func (c *timewheelClient) Bulks() []Bulk { return []Bulk{{"POST /task/batch", c.Preload}} }

// Preload takes the request for many tasks too.
func (c *timewheelClient) Preload(ctx context.Context, due []time.Time) error {
	for part := range slices.Chunk(due, batchLimit) {
		tasks := make([]string, len(part))
		for i, at := range part {
			tasks[i] = timewheelTask(at)
		}
		body := `{"tasks":[` + strings.Join(tasks, ",") + `]}`
		if _, err := c.do(ctx, fasthttp.MethodPost, "/task/batch", body, fasthttp.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}

// Warm looks whether a worker has built the wheel.
func (c *timewheelClient) Warm(ctx context.Context) (bool, error) {
	built, err := c.redis.HExists(ctx, "timewheel:{wheel}:epoch", "indexed_until").Result()
	if err != nil {
		return false, fmt.Errorf("look whether the wheel is built: %w", err)
	}
	return built, nil
}

// Queries implements Client.
func (c *timewheelClient) Queries(ctx context.Context) ([]Query, error) {
	return queries(ctx, c.store, []string{"done", "failed", "deleted", "submitted"}, c.list,
		func(ctx context.Context, id uuid.UUID) error {
			_, err := c.do(ctx, fasthttp.MethodGet, "/task/"+id.String(), "", fasthttp.StatusOK)
			return err
		})
}

func (c *timewheelClient) list(ctx context.Context, status, taskType string) error {
	path := fmt.Sprintf("/task?limit=%d", pageSize)
	if status != "" {
		path += "&status=" + status
	}
	if taskType != "" {
		path += "&type=" + taskType
	}
	body, err := c.do(ctx, fasthttp.MethodGet, path, "", fasthttp.StatusOK)
	if err != nil {
		return err
	}
	var page struct {
		Tasks []json.RawMessage `json:"tasks"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("decode a page: %w", err)
	}
	return notEmpty(len(page.Tasks))
}
