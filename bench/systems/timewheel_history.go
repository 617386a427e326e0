package systems

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

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

// History writes the rows itself: the services would take days.
func (c *timewheelClient) History(ctx context.Context, n int) error {
	if _, err := c.pool.Exec(ctx, timewheelHistory, n, typeNames); err != nil {
		return fmt.Errorf("store a history: %w", err)
	}
	return nil
}

// Queries are asked over one connection.
func (c *timewheelClient) Queries(ctx context.Context) ([]Query, error) {
	rows, err := c.pool.Query(ctx, `SELECT id FROM tasks ORDER BY md5(id::text) LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("pick tasks to ask for: %w", err)
	}
	conn, err := dialHTTP(ctx, c.api.Address)
	if err != nil {
		return nil, err
	}
	c.asker = conn

	statuses := []string{"done", "failed", "deleted", "submitted"}
	page := func(filter func(i int) string) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return askPage(ctx, conn, fmt.Sprintf("/task?limit=%d%s", pageSize, filter(i)))
		}
	}
	return []Query{
		{AskAll, page(func(int) string { return "" })},
		{AskStatus, page(func(i int) string { return "&status=" + statuses[i%4] })},
		{AskType, page(func(i int) string { return "&type=" + typeNames[i%4] })},
		{AskBoth, page(func(i int) string { return "&status=" + statuses[i%4] + "&type=" + typeNames[i/4%4] })},
		{AskOne, func(ctx context.Context, i int) error {
			_, err := conn.want(ctx, http.StatusOK, http.MethodGet, "/task/"+ids[i%len(ids)].String(), nil)
			return err
		}},
	}, nil
}

func askPage(ctx context.Context, conn *httpConn, path string) error {
	body, err := conn.want(ctx, http.StatusOK, http.MethodGet, path, nil)
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
		return errors.Join(errNothingFound, errors.New(path))
	}
	return nil
}
