package systems

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// batchLimit is how many tasks one request may create.
const batchLimit = 1000

// timewheelSubmitter is one keep-alive connection.
type timewheelSubmitter struct {
	*httpConn
	body []byte
}

// Submitter opens a connection of its own.
func (c *timewheelClient) Submitter(ctx context.Context) (Submitter, error) {
	conn, err := dialHTTP(ctx, c.api.Address)
	if err != nil {
		return nil, err
	}
	return &timewheelSubmitter{httpConn: conn}, nil
}

// Create posts one task.
func (s *timewheelSubmitter) Create(ctx context.Context, due time.Time) error {
	s.body = appendTask(s.body[:0], due)
	_, err := s.want(ctx, http.StatusCreated, http.MethodPost, "/task", s.body)
	return err
}

// appendTask writes one task as the API takes it.
func appendTask(body []byte, due time.Time) []byte {
	body = append(body, `{"task_type":"`+noop+`","execution_time":"`...)
	body = due.UTC().AppendFormat(body, "2006-01-02T15:04:05.000000Z")
	return append(body, `","payload":`+payload+`}`...)
}

// payload is what every task carries, but for those of asynq, whose handler is
// told its due time by nobody else.
const payload = `{"bench":true}`

// Bulks has the one request for many tasks.
func (c *timewheelClient) Bulks() []Bulk {
	return []Bulk{{Name: "POST /task/batch", Create: c.createBatch}}
}

func (c *timewheelClient) createBatch(ctx context.Context, due []time.Time) error {
	conn, err := c.borrow(ctx)
	if err != nil {
		return err
	}
	if err := postBatches(ctx, conn, due); err != nil {
		return errors.Join(err, conn.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, conn)
	return nil
}

// borrow takes a connection that is kept alive, or opens one.
func (c *timewheelClient) borrow(ctx context.Context) (*httpConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.idle) - 1; last >= 0 {
		conn := c.idle[last]
		c.idle = c.idle[:last]
		return conn, nil
	}
	return dialHTTP(ctx, c.api.Address)
}

func postBatches(ctx context.Context, conn *httpConn, due []time.Time) error {
	var body []byte
	return chunks(due, batchLimit, func(part []time.Time) error {
		body = append(body[:0], `{"tasks":[`...)
		for i, at := range part {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendTask(body, at)
		}
		body = append(body, "]}"...)
		_, err := conn.want(ctx, http.StatusCreated, http.MethodPost, "/task/batch", body)
		return err
	})
}

// Preload takes the request for many tasks too.
func (c *timewheelClient) Preload(ctx context.Context, due []time.Time) error {
	return c.createBatch(ctx, due)
}
