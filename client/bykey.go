package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// PutByKey creates the task of t.Key, or replaces it if it has not started, and returns it. Nil means
// that nothing of it as it was runs any more. A Problem has the status 409 while the task runs; once it
// has ended, the key is free. What may have been carried out may be repeated. If ifMatch is not empty, a
// task is replaced only if that is its ETag, and none is created: the status is 412 otherwise.
func (c *Client) PutByKey(ctx context.Context, t NewTask, ifMatch string) (*Task, error) {
	header := http.Header{}
	if ifMatch != "" {
		header.Set("If-Match", ifMatch)
	}
	return c.byKey(ctx, "put a task by its key", http.MethodPut, t.Key, header, t)
}

// GetByKey reads the open task of a key, or else the one that was created last.
func (c *Client) GetByKey(ctx context.Context, key string) (*Task, error) {
	return c.byKey(ctx, "get a task by its key", http.MethodGet, key, nil, nil)
}

func (c *Client) byKey(ctx context.Context, what, method, key string, header http.Header, send any) (*Task, error) {
	var t Task
	answer, err := c.call(ctx, method, keyPath(key), nil, header, send, &t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	t.ETag = answer.Get("ETag")
	return &t, nil
}

// DeleteByKey takes back the task of a key that has not started, and returns its id. Nil means that
// it never runs.
func (c *Client) DeleteByKey(ctx context.Context, key string) (uuid.UUID, error) {
	var deleted struct {
		ID uuid.UUID `json:"task_id"`
	}
	if err := c.do(ctx, http.MethodDelete, keyPath(key), nil, "", nil, &deleted); err != nil {
		return uuid.Nil, fmt.Errorf("delete a task by its key: %w", err)
	}
	return deleted.ID, nil
}

// keyPath escapes dots too: a path with ".." in it would be shortened.
func keyPath(key string) string {
	return "task/by-key/" + strings.ReplaceAll(url.PathEscape(key), ".", "%2E")
}
