// Package client speaks to timewheel's API.
//
//	c, err := client.New("http://localhost:8080")
//	id, err := c.Create(ctx, client.NewTask{
//		Type: "foo", ExecutionTime: time.Now().Add(time.Hour), Key: "order-7731-reminder",
//	})
//
// Each call sends one request, once: nothing is repeated behind the caller's back. An
// answer that is not a success is a *Problem. Any other error means that no answer came;
// unless NotSent says otherwise, the request may have been carried out. A create with a
// Key may be repeated safely then.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// timeout is longer than the API takes to answer at most.
const timeout = 30 * time.Second

// Client is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	key  Secret
}

// Option changes a Client.
type Option func(*Client)

// WithHTTPClient sets what sends the requests. The default is http.DefaultTransport with
// a timeout of 30 s.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithKey sets the key that each request is sent with. A client that follows a redirect to
// another host leaves it out there.
func WithKey(key string) Option { return func(c *Client) { c.key = Secret(key) } }

// New makes a client of the API at base, such as http://localhost:8080.
func New(base string, options ...Option) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, errors.New("the address of the API is not a URL that starts with http:// or https://")
	}
	c := &Client{base: parsed, http: &http.Client{Timeout: timeout}}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Create creates a task and returns its id.
func (c *Client) Create(ctx context.Context, t NewTask) (uuid.UUID, error) {
	var created struct {
		ID uuid.UUID `json:"task_id"`
	}
	err := c.do(ctx, http.MethodPost, "task", nil, t.Key, t, &created)
	if err == nil && created.ID == uuid.Nil {
		err = errors.New("the answer names no task")
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("create a task: %w", err)
	}
	return created.ID, nil
}

// CreateAll creates at most 1,000 tasks, all or none, and returns their ids in order.
// The key, which may be empty, stands for all of them, in place of their own.
func (c *Client) CreateAll(ctx context.Context, key string, tasks []NewTask) ([]uuid.UUID, error) {
	var created struct {
		IDs []uuid.UUID `json:"task_ids"`
	}
	err := c.do(ctx, http.MethodPost, "task/batch", nil, key, map[string]any{"tasks": tasks}, &created)
	if err != nil {
		return nil, fmt.Errorf("create tasks: %w", err)
	}
	return created.IDs, nil
}

// Get reads a task.
func (c *Client) Get(ctx context.Context, id uuid.UUID) (*Task, error) {
	var found Task
	header, err := c.call(ctx, http.MethodGet, "task/"+id.String(), nil, nil, nil, &found)
	if err != nil {
		return nil, fmt.Errorf("get a task: %w", err)
	}
	found.ETag = header.Get("ETag")
	return &found, nil
}

// List reads one page of tasks.
func (c *Client) List(ctx context.Context, f Filter) (*Page, error) {
	var page Page
	if err := c.do(ctx, http.MethodGet, "task", f.query(), "", nil, &page); err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return &page, nil
}

// Delete takes back a task that has not started. Nil means that it never runs.
func (c *Client) Delete(ctx context.Context, id uuid.UUID) error {
	if err := c.do(ctx, http.MethodDelete, "task/"+id.String(), nil, "", nil, nil); err != nil {
		return fmt.Errorf("delete a task: %w", err)
	}
	return nil
}

// Patch changes a task that has not started, and returns it. Nil means that it never runs at a
// time that it had before. A Problem has the status 409 once the task has started or ended, and
// 412 if it is not as IfMatch says. What may have been carried out may be repeated.
func (c *Client) Patch(ctx context.Context, id uuid.UUID, p Patch) (*Task, error) {
	header := http.Header{"Content-Type": {"application/merge-patch+json"}}
	if p.IfMatch != "" {
		header.Set("If-Match", p.IfMatch)
	}
	var changed Task
	answer, err := c.call(ctx, http.MethodPatch, "task/"+id.String(), nil, header, p, &changed)
	if err != nil {
		return nil, fmt.Errorf("change a task: %w", err)
	}
	changed.ETag = answer.Get("ETag")
	return &changed, nil
}

// Run makes a task due now that has not started, and returns it. See Patch for the errors. It may
// be repeated.
func (c *Client) Run(ctx context.Context, id uuid.UUID) (*Task, error) {
	var due Task
	answer, err := c.call(ctx, http.MethodPost, "task/"+id.String()+"/run", nil, nil, nil, &due)
	if err != nil {
		return nil, fmt.Errorf("run a task: %w", err)
	}
	due.ETag = answer.Get("ETag")
	return &due, nil
}

// Cancel deletes a task that has not started, or asks for the end of one that runs. That one is
// returned; it ends as failed with the code cancelled, or as its handler says if that is
// faster, and is not attempted again. Of a task that was deleted it returns id and status. A Problem has the
// status 409 once the task has ended. It may be repeated.
func (c *Client) Cancel(ctx context.Context, id uuid.UUID) (*Task, error) {
	var cancelled Task
	answer, err := c.call(ctx, http.MethodPost, "task/"+id.String()+"/cancel", nil, nil, nil, &cancelled)
	if err != nil {
		return nil, fmt.Errorf("cancel a task: %w", err)
	}
	cancelled.ETag = answer.Get("ETag")
	return &cancelled, nil
}

// Retry creates a task like one that has failed or was deleted, due now, and returns it. With a key,
// which may be empty, it may be repeated, as a create. A Problem has the status 409 for
// a task that has not ended, or is done.
func (c *Client) Retry(ctx context.Context, id uuid.UUID, key string) (*Task, error) {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	var made Task
	answer, err := c.call(ctx, http.MethodPost, "task/"+id.String()+"/retry", nil, header, nil, &made)
	if err != nil {
		return nil, fmt.Errorf("retry a task: %w", err)
	}
	made.ETag = answer.Get("ETag")
	return &made, nil
}

// Attempts are the attempts of a task, in order, with the one that runs.
func (c *Client) Attempts(ctx context.Context, id uuid.UUID) ([]Attempt, error) {
	var list struct {
		Attempts []Attempt `json:"attempts"`
	}
	if err := c.do(ctx, http.MethodGet, "task/"+id.String()+"/attempts", nil, "", nil, &list); err != nil {
		return nil, fmt.Errorf("list the attempts of a task: %w", err)
	}
	return list.Attempts, nil
}

// Live asks whether the API serves at all.
func (c *Client) Live(ctx context.Context) error {
	if err := c.do(ctx, http.MethodGet, "livez", nil, "", nil, nil); err != nil {
		return fmt.Errorf("ask whether the API lives: %w", err)
	}
	return nil
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// NotSent reports whether an error means that a request never reached the API.
func NotSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, key string, send, into any) error {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	_, err := c.call(ctx, method, path, query, header, send, into)
	return err
}

// call sends one request, and returns the header of the answer.
func (c *Client) call(
	ctx context.Context, method, path string, query url.Values, header http.Header, send, into any,
) (answer http.Header, err error) {
	request := Request{Method: method, Path: path, Query: query, Header: header}
	if send != nil {
		if request.Body, err = json.Marshal(send); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	answer, body, err := c.exchange(ctx, request)
	if err != nil || into == nil {
		return answer, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return answer, nil
}

// problemOf is what an answer that is no success says. A proxy may have answered with
// something else: then the status says it all.
func problemOf(response *http.Response, body []byte) *Problem {
	p := &Problem{RetryAfter: -1}
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		p = &Problem{RetryAfter: -1, Title: strings.TrimSpace(http.StatusText(response.StatusCode))}
	}
	p.Status = response.StatusCode
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}
