package systems

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/timewheel/timewheel/bench/rig"
	"github.com/timewheel/timewheel/bench/witness"
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/worker"
	"github.com/timewheel/timewheel/migrations"
)

const (
	// apiRole is the role of timewheel's API.
	apiRole = "timewheel-api"
	// batchLimit is how many tasks one request may create.
	batchLimit = 1000
	// timewheelPool is for what the store says.
	timewheelPool = 4
)

// apiAnnounced finds in the log of the API where it listens.
var apiAnnounced = regexp.MustCompile(`"http server listening","addr":"([^"]+)"`)

func timewheel() System {
	return System{
		Name:    "timewheel",
		Migrate: func(_ context.Context, url string) error { return migrations.Up(url) },
		Connect: connectTimewheel,
		Settings: map[Purpose][]Setting{
			Rate:     {{"WORKER_CONCURRENCY=4000"}, {"WORKER_CONCURRENCY=1000"}, {"WORKER_CONCURRENCY=8000"}},
			Lateness: {{"WORKER_CONCURRENCY=10000"}},
			Rest:     {{"WORKER_CONCURRENCY=100"}},
		},
	}
}

func runTimewheelAPI(ctx context.Context) error {
	cfg, err := config.LoadAPI()
	if err != nil {
		return err
	}
	return app.RunAPI(ctx, cfg, os.Stderr)
}

// runTimewheelWorker is the worker as it is deployed, with a handler that does
// nothing in place of those that ship. The background loops run at once;
// claiming begins when the driver lets it.
func runTimewheelWorker(ctx context.Context) error {
	cfg, err := config.LoadWorker()
	if err != nil {
		return err
	}
	seen, err := witness.Start()
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

// timewheelHistory makes rows as the services would have left them over the
// last five days. The ids are of version 7 and older than any that is made
// now; the statuses and types are spread evenly and independently.
const timewheelHistory = `
	INSERT INTO tasks (id, task_type, status, execution_time, due_at, payload, attempt, worker_id,
		started_at, finished_at, failure_code, failure_message, created_at)
	SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(i::text), 1, 3)
	        || '8' || substr(md5(i::text), 4, 15))::uuid,
	       ($2::text[])[1 + i / 4 % 4], status, due, due, '{"bench": true}',
	       CASE WHEN ran THEN 1 ELSE 0 END, CASE WHEN ran THEN gen_random_uuid() END,
	       CASE WHEN ran THEN due END, CASE WHEN status <> 'submitted' THEN due END,
	       CASE WHEN status = 'failed' THEN 'handler_error' END, CASE WHEN status = 'failed' THEN 'it failed' END, at
	FROM generate_series(1, $1::int) i
	CROSS JOIN LATERAL (SELECT now() - interval '6 days' + i * interval '5 days' / $1) AS begin (at)
	CROSS JOIN LATERAL (SELECT (ARRAY['done', 'failed', 'deleted', 'submitted'])[1 + i % 4]) AS state (status)
	CROSS JOIN LATERAL (SELECT status IN ('done', 'failed'),
	                           CASE status WHEN 'submitted' THEN at + interval '60 days' ELSE at + interval '1 hour' END) AS run (ran, due)`

type timewheelClient struct {
	store
	rig  *rig.Rig
	api  *rig.Process
	http *fasthttp.HostClient
}

func connectTimewheel(ctx context.Context, r *rig.Rig) (Client, error) {
	// It asks through indexes, as timewheel's own pool does: to look through a
	// long history for what is left would be measured as work.
	pool, err := openPool(ctx, r.DatabaseURL+"&enable_seqscan=off&enable_bitmapscan=off", timewheelPool)
	if err != nil {
		return nil, err
	}
	api, err := r.Spawn(ctx, apiRole, apiAnnounced)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &timewheelClient{
		store: store{
			pool: pool, table: "tasks", finished: "status = 'done'", history: timewheelHistory,
			idle: `SELECT NOT EXISTS (SELECT FROM tasks WHERE outcome = 'open' AND due_at <= now() ORDER BY due_at LIMIT 1)`,
		},
		rig: r, api: api,
		// No request is sent twice: what is repeated would be measured once.
		http: &fasthttp.HostClient{Addr: api.Address, MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true},
	}, nil
}

// Close closes the connections and stops the API.
func (c *timewheelClient) Close() error {
	c.http.CloseIdleConnections()
	c.pool.Close()
	return c.api.Stop()
}

// Nodes is the API.
func (c *timewheelClient) Nodes() []*rig.Process { return []*rig.Process{c.api} }

// do sends one request, by a client that costs the machine, which it shares
// with the server, much less than that of net/http does.
func (c *timewheelClient) do(ctx context.Context, method, path string, body []byte, want int) ([]byte, error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(method)
	request.Header.SetContentType("application/json")
	request.SetRequestURI("http://" + c.api.Address + path)
	request.SetBodyRaw(body)
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("a request needs a deadline")
	}
	if err := c.http.DoDeadline(request, response, deadline); err != nil {
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
	_, err := c.do(ctx, fasthttp.MethodPost, "/task", appendTask(nil, due), fasthttp.StatusCreated)
	return err
}

// appendTask writes one task as the API takes it.
func appendTask(body []byte, due time.Time) []byte {
	body = append(body, `{"task_type":"`+noop+`","execution_time":"`...)
	body = due.UTC().AppendFormat(body, "2006-01-02T15:04:05.000000Z")
	return append(body, `","payload":`+payload+`}`...)
}

// Bulks has the one request for many tasks.
func (c *timewheelClient) Bulks() []Bulk { return []Bulk{{"POST /task/batch", c.Preload}} }

// Preload takes the request for many tasks too.
func (c *timewheelClient) Preload(ctx context.Context, due []time.Time) error {
	for part := range slices.Chunk(due, batchLimit) {
		body := []byte(`{"tasks":[`)
		for i, at := range part {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendTask(body, at)
		}
		if _, err := c.do(ctx, fasthttp.MethodPost, "/task/batch", append(body, "]}"...), fasthttp.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}

// Warm looks whether a worker has built the wheel.
func (c *timewheelClient) Warm(ctx context.Context) (bool, error) {
	built, err := c.rig.Redis.HExists(ctx, "timewheel:{wheel}:epoch", "indexed_until").Result()
	if err != nil {
		return false, fmt.Errorf("look whether the wheel is built: %w", err)
	}
	return built, nil
}

// Queries are asked over one connection.
func (c *timewheelClient) Queries(ctx context.Context) ([]Query, error) {
	ids, err := pick[uuid.UUID](ctx, c.store)
	if err != nil {
		return nil, err
	}
	statuses := []string{"done", "failed", "deleted", "submitted"}
	page := func(filter func(i int) string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error { return c.list(ctx, filter(i)) }
	}
	return []Query{
		{askAll, page(func(int) string { return "" })},
		{askStatus, page(func(i int) string { return "&status=" + statuses[i%4] })},
		{askType, page(func(i int) string { return "&type=" + typeNames[i%4] })},
		{askBoth, page(func(i int) string { return "&status=" + statuses[i%4] + "&type=" + typeNames[i/4%4] })},
		{askOne, func(ctx context.Context, i int) error {
			_, err := c.do(ctx, fasthttp.MethodGet, "/task/"+ids[i%len(ids)].String(), nil, fasthttp.StatusOK)
			return err
		}},
	}, nil
}

func (c *timewheelClient) list(ctx context.Context, filter string) error {
	body, err := c.do(ctx, fasthttp.MethodGet, fmt.Sprintf("/task?limit=%d%s", pageSize, filter), nil, fasthttp.StatusOK)
	if err != nil {
		return err
	}
	var page struct {
		Tasks []json.RawMessage `json:"tasks"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("decode a page: %w", err)
	}
	if len(page.Tasks) == 0 {
		return errNothingFound
	}
	return nil
}
