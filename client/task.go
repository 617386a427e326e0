package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The statuses of a task.
const (
	Submitted = "submitted"
	Started   = "started_executing"
	Done      = "done"
	Failed    = "failed"
	Deleted   = "deleted"
)

// NewTask is what a client asks for.
type NewTask struct {
	Type          string    `json:"task_type"`
	ExecutionTime time.Time `json:"execution_time"`
	// Payload is a JSON object, or nil.
	Payload json.RawMessage `json:"payload,omitempty"`
	// Labels are what the task is found by, at most 16.
	Labels map[string]string `json:"labels,omitempty"`
	// MaxAttempts is 1 if it is zero: the task runs at most once.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// NotAfter is until when the task may start, or nil; Timeout ("30s") how long one attempt may
	// take, and Retry how long the task waits for the next one. Zero is what the type says.
	NotAfter *time.Time `json:"not_after,omitempty"`
	Timeout  string     `json:"timeout,omitempty"`
	Retry    *Retry     `json:"retry,omitempty"`
	// Key is the idempotency key, or empty. Two creates with one key make one task.
	Key string `json:"-"`
}

// Task is a task as the API shows it. What is not there yet is zero or nil.
type Task struct {
	ID            uuid.UUID  `json:"task_id"`
	Type          string     `json:"task_type"`
	Status        string     `json:"status"`
	ExecutionTime time.Time  `json:"execution_time"`
	DueAt         time.Time  `json:"due_at"`
	Attempt       int        `json:"attempt"`
	MaxAttempts   int        `json:"max_attempts"`
	NotAfter      *time.Time `json:"not_after,omitempty"`
	Timeout       string     `json:"timeout,omitempty"`
	Retry         *Retry     `json:"retry,omitempty"`
	WorkerID      *uuid.UUID `json:"worker_id,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	StartedAt     *time.Time `json:"started_at,omitempty"`
	FinishedAt    *time.Time `json:"finished_at,omitempty"`
	// RetryOf is the task that this one repeats.
	RetryOf *uuid.UUID `json:"retry_of,omitempty"`
	// CancelRequestedAt is when a client asked to cancel it while it ran.
	CancelRequestedAt *time.Time        `json:"cancel_requested_at,omitempty"`
	LatenessMS        *float64          `json:"lateness_ms,omitempty"`
	Payload           json.RawMessage   `json:"payload,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Result            json.RawMessage   `json:"result,omitempty"`
	Failure           *Failure          `json:"failure,omitempty"`
	// ETag is another one for each change of the task. Lists leave it out.
	ETag string `json:"-"`
}

// Patch is what is to become of a task that has not started. What is zero stays as it is.
type Patch struct {
	ExecutionTime *time.Time `json:"execution_time,omitempty"`
	// Payload is a JSON object that is merged into the present payload (RFC 7396), null to have
	// none, or nil.
	Payload     json.RawMessage `json:"payload,omitempty"`
	MaxAttempts int             `json:"max_attempts,omitempty"`
	// NotAfter, Timeout and Retry are JSON values: null is what the type says, nil leaves what is
	// there, and an object is merged into the task's retry.
	NotAfter json.RawMessage `json:"not_after,omitempty"`
	Timeout  json.RawMessage `json:"timeout,omitempty"`
	Retry    json.RawMessage `json:"retry,omitempty"`
	// Labels are merged into the present ones: nil drops one.
	Labels map[string]*string `json:"labels,omitempty"`
	// IfMatch is the ETag of the task that is to be changed, or empty for whatever it is by now.
	IfMatch string `json:"-"`
}

// Attempt is one start of a task. While it runs, EndedAt is nil and Outcome empty.
type Attempt struct {
	Attempt   int        `json:"attempt"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	WorkerID  uuid.UUID  `json:"worker_id"`
	Outcome   string     `json:"outcome"` // Done or Failed
	Failure   *Failure   `json:"failure"`
}

// Failure is why the latest attempt failed.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Ended reports whether the status is final.
func (t *Task) Ended() bool { return t.Status != Submitted && t.Status != Started }

// Filter picks tasks. The zero value picks all.
type Filter struct {
	Status, Type string
	// Labels must all be those of the task.
	Labels map[string]string
	// The bounds of due_at and created_at, or nil. A time is included as a start, and not as an end.
	DueAfter, DueBefore         *time.Time
	CreatedAfter, CreatedBefore *time.Time
	// Order is NewestFirst, also if it is empty, or SoonestDue, for a Status that is Submitted or Started.
	Order string
	// Limit is the most tasks of a page; zero is the API's default.
	Limit int
	// Cursor is NextCursor of the page before, or empty. All else but Limit must be as it was.
	Cursor string
}

// The orders of a list.
const (
	NewestFirst = "-created"
	SoonestDue  = "due"
)

func (f *Filter) query() url.Values {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("status", f.Status)
	set("type", f.Type)
	set("order", f.Order)
	set("cursor", f.Cursor)
	for key, value := range f.Labels {
		query.Add("label", key+":"+value)
	}
	for name, at := range map[string]*time.Time{
		"due_after": f.DueAfter, "due_before": f.DueBefore, "created_after": f.CreatedAfter, "created_before": f.CreatedBefore,
	} {
		if at != nil {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return query
}

// Page is a part of a list.
type Page struct {
	Tasks []Task `json:"tasks"`
	// NextCursor is empty on the last page. Another page may be empty, and have one.
	NextCursor string `json:"next_cursor"`
}

// Problem is an answer that is no success (RFC 9457).
type Problem struct { //nolint:errname // RFC 9457 calls it so.
	Status    int    `json:"status"`
	Code      string `json:"code"` // empty if a proxy answered
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	// TaskStatus is that of the task which stood in the way.
	TaskStatus string       `json:"task_status"`
	Errors     []FieldError `json:"errors"`
	// RetryAfter is how long the API asks to wait; negative if it does not.
	RetryAfter time.Duration `json:"-"`
}

// FieldError is one thing that is wrong with a request.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p *Problem) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "answered %d %s", p.Status, p.Code)
	if p.Detail != "" {
		text.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		text.WriteString("; " + e.Field + " " + e.Message)
	}
	return text.String()
}

// Temporary reports whether the same request may succeed later.
func (p *Problem) Temporary() bool {
	return p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
}

// Unknown reports whether the request may have been carried out.
func (p *Problem) Unknown() bool {
	return p.Code == "outcome_unknown" || p.Status >= 500 && p.Status != http.StatusServiceUnavailable
}
