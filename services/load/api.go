package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

const (
	requestTimeout = 30 * time.Second
	// pageSize is the most tasks that one page of the list may hold.
	pageSize = 1000
)

// api speaks the REST contract with a timewheel.
type api struct {
	base   *url.URL
	client *http.Client
}

func newAPI(base *url.URL, connections int) *api {
	return &api{base: base, client: &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections},
	}}
}

func (a *api) close() { a.client.CloseIdleConnections() }

// alive says in one sentence if nobody is there to be loaded.
func (a *api) alive(ctx context.Context) error {
	if err := a.get(ctx, "/livez", nil, nil); err != nil {
		return fmt.Errorf("nothing to load, is the API up? %w", err)
	}
	return nil
}

// record is what the API says of a task.
type record struct {
	ID         uuid.UUID  `json:"task_id"`
	Status     string     `json:"status"`
	Attempt    int        `json:"attempt"`
	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Failure    *struct {
		Code string `json:"code"`
	} `json:"failure"`
}

// The statuses of the contract that the client itself tells apart.
const (
	statusSubmitted = "submitted"
	statusStarted   = "started_executing"
	statusDone      = "done"
	statusDeleted   = "deleted"
)

func (r record) ended() bool { return r.Status != statusSubmitted && r.Status != statusStarted }

// errNotFound: the API knows no task of that id.
var errNotFound = errors.New("no such task")

// refusal is an answer that does not acknowledge what was asked.
type refusal struct {
	status     int
	code       string
	retryAfter time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("answered %d %s", r.status, r.code) }

// passing reports whether the same request may succeed later.
func (r *refusal) passing() bool {
	return r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable
}

// create submits one task and returns its id. The key makes it safe to call
// again. It is *refusal if the API answered no; any other error means that no
// answer came.
func (a *api) create(ctx context.Context, p plan) (uuid.UUID, error) {
	body, err := json.Marshal(struct {
		Type    string          `json:"task_type"`
		At      time.Time       `json:"execution_time"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}{p.taskType, p.at, p.payload})
	if err != nil {
		return uuid.Nil, fmt.Errorf("encode task: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base.JoinPath("task").String(), bytes.NewReader(body))
	if err != nil {
		return uuid.Nil, fmt.Errorf("create task: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", p.key)
	var created struct {
		ID uuid.UUID `json:"task_id"`
	}
	if err := a.do(request, http.StatusCreated, &created); err != nil {
		return uuid.Nil, fmt.Errorf("create task: %w", err)
	}
	if created.ID == uuid.Nil {
		return uuid.Nil, errors.New("create task: the answer names no task")
	}
	return created.ID, nil
}

// page reads one page of the tasks of a type, newest first, and the cursor of
// the next one, which is empty after the last.
func (a *api) page(ctx context.Context, taskType, cursor string) ([]record, string, error) {
	query := url.Values{"type": {taskType}, "limit": {strconv.Itoa(pageSize)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	var page struct {
		Tasks []record `json:"tasks"`
		Next  string   `json:"next_cursor"`
	}
	if err := a.get(ctx, "/task", query, &page); err != nil {
		return nil, "", fmt.Errorf("list tasks: %w", err)
	}
	return page.Tasks, page.Next, nil
}

// lookUp reads one task. It is errNotFound if there is none.
func (a *api) lookUp(ctx context.Context, id uuid.UUID) (record, error) {
	var found record
	err := a.get(ctx, "/task/"+id.String(), nil, &found)
	var no *refusal
	if errors.As(err, &no) && no.status == http.StatusNotFound {
		return record{}, errNotFound
	}
	if err != nil {
		return record{}, fmt.Errorf("look up task: %w", err)
	}
	return found, nil
}

func (a *api) get(ctx context.Context, path string, query url.Values, into any) error {
	target := a.base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	return a.do(request, http.StatusOK, into)
}

func (a *api) do(request *http.Request, want int, into any) (err error) {
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if response.StatusCode != want {
		return newRefusal(response, body)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

func newRefusal(response *http.Response, body []byte) *refusal {
	r := &refusal{status: response.StatusCode, retryAfter: time.Second}
	var problem struct {
		Code string `json:"code"`
	}
	// A proxy may answer with something else: then the status says it all.
	if json.Unmarshal(body, &problem) == nil {
		r.code = problem.Code
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		r.retryAfter = time.Duration(seconds) * time.Second
	}
	return r
}
