package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The actions of an operation.
const (
	ActionDelete     = "delete"
	ActionReschedule = "reschedule"
	ActionRun        = "run"
	ActionRetry      = "retry"
	ActionCancel     = "cancel"
)

// NewOperation acts on all tasks that match.
type NewOperation struct {
	Action string
	// Filter picks the tasks. It has neither Order, nor Limit, nor Cursor. The zero value picks
	// nothing but with All.
	Filter Filter
	All    bool
	// ExecutionTime or Shift ("-59m") is for ActionReschedule.
	ExecutionTime *time.Time
	Shift         string
	// DryRun counts, and changes nothing.
	DryRun bool
	// Key is the idempotency key, or empty.
	Key string
}

// MarshalJSON sends the filter as the API takes it.
func (o NewOperation) MarshalJSON() ([]byte, error) {
	f := &o.Filter
	filter := map[string]any{}
	for name, text := range map[string]string{"status": f.Status, "type": f.Type} {
		if text != "" {
			filter[name] = text
		}
	}
	for name, at := range map[string]*time.Time{
		"due_after": f.DueAfter, "due_before": f.DueBefore, "created_after": f.CreatedAfter, "created_before": f.CreatedBefore,
	} {
		if at != nil {
			filter[name] = *at
		}
	}
	if len(f.Labels) > 0 {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(f.Labels)) {
			labels = append(labels, key+":"+f.Labels[key])
		}
		filter["label"] = labels
	}
	return json.Marshal(struct {
		Action        string         `json:"action"`
		Filter        map[string]any `json:"filter"`
		All           bool           `json:"all,omitempty"`
		ExecutionTime *time.Time     `json:"execution_time,omitempty"`
		Shift         string         `json:"shift,omitempty"`
		DryRun        bool           `json:"dry_run,omitempty"`
	}{o.Action, filter, o.All, o.ExecutionTime, o.Shift, o.DryRun})
}

// Operation is what an operation has come to.
type Operation struct {
	ID     uuid.UUID `json:"operation_id"`
	Action string    `json:"action"`
	DryRun bool      `json:"dry_run"`
	// State is waiting, running, done, stopped or failed.
	State   string `json:"state"`
	Done    int64  `json:"done"`
	Skipped int64  `json:"skipped"`
	// Left is nil as long as it is not known.
	Left *int64 `json:"left"`
	// Samples are some of the tasks that were skipped, and why.
	Samples    []SkippedTask `json:"samples"`
	Failure    string        `json:"failure"`
	CreatedAt  time.Time     `json:"created_at"`
	StartedAt  *time.Time    `json:"started_at"`
	FinishedAt *time.Time    `json:"finished_at"`
}

// SkippedTask is a task that an operation did not act on.
type SkippedTask struct {
	ID     uuid.UUID `json:"task_id"`
	Reason string    `json:"reason"`
}

// Ended reports whether the operation changes nothing any more.
func (o *Operation) Ended() bool { return o.FinishedAt != nil }

// Operate asks for an operation, which is carried out in the background. Without a Key, what may have
// been carried out must not be repeated: a shift would be made twice.
func (c *Client) Operate(ctx context.Context, o NewOperation) (*Operation, error) {
	var made Operation
	if err := c.do(ctx, http.MethodPost, "operation", nil, o.Key, o, &made); err != nil {
		return nil, fmt.Errorf("ask for an operation: %w", err)
	}
	return &made, nil
}

// GetOperation looks at an operation.
func (c *Client) GetOperation(ctx context.Context, id uuid.UUID) (*Operation, error) {
	var o Operation
	if err := c.do(ctx, http.MethodGet, "operation/"+id.String(), nil, "", nil, &o); err != nil {
		return nil, fmt.Errorf("get an operation: %w", err)
	}
	return &o, nil
}

// Operations lists operations, newest first: at most a hundred, before one, or the newest for
// uuid.Nil. more is whether there are others after them.
func (c *Client) Operations(ctx context.Context, before uuid.UUID) (list []Operation, more bool, err error) {
	query := url.Values{}
	if before != uuid.Nil {
		query.Set("before", before.String())
	}
	var answer struct {
		Operations []Operation `json:"operations"`
		Next       string      `json:"next_before"`
	}
	if err := c.do(ctx, http.MethodGet, "operation", query, "", nil, &answer); err != nil {
		return nil, false, fmt.Errorf("list the operations: %w", err)
	}
	return answer.Operations, answer.Next != "", nil
}

// StopOperation stops an operation, and returns it. It changes nothing after that.
func (c *Client) StopOperation(ctx context.Context, id uuid.UUID) (*Operation, error) {
	var o Operation
	if err := c.do(ctx, http.MethodDelete, "operation/"+id.String(), nil, "", nil, &o); err != nil {
		return nil, fmt.Errorf("stop an operation: %w", err)
	}
	return &o, nil
}
