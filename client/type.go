package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Type is a task type. Durations are as time.Duration prints them. What is empty has its
// default, or is no limit.
type Type struct {
	Name    string   `json:"name,omitempty"`
	Handler string   `json:"handler,omitempty"` // builtin, webhook or lease
	Webhook *Webhook `json:"webhook,omitempty"`
	// Timeout bounds one attempt.
	Timeout     string `json:"timeout,omitempty"`
	MaxAttempts int    `json:"max_attempts,omitempty"`
	Retry       *Retry `json:"retry,omitempty"`
	// ExpiresIn is how long after its execution time a task may start that has no NotAfter.
	ExpiresIn string `json:"expires_in,omitempty"`
	// MaxRunning is how many tasks may run at once, over all workers.
	MaxRunning int   `json:"max_running,omitempty"`
	Rate       *Rate `json:"rate,omitempty"`
	Paused     bool  `json:"paused,omitempty"`
	// PayloadSchema is a JSON Schema (2020-12).
	PayloadSchema json.RawMessage `json:"payload_schema,omitempty"`
}

// Webhook is where the payloads of a type are sent.
type Webhook struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	// Secret and PreviousSecret both sign. No answer shows them; nil leaves what is there,
	// and an empty text removes it.
	Secret         *Secret `json:"secret,omitempty"`
	PreviousSecret *Secret `json:"previous_secret,omitempty"`
}

// Secret is a text that is sent and not printed.
type Secret string

// MarshalJSON sends an empty secret as null.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// String hides it from package fmt.
func (Secret) String() string { return "[secret]" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "[secret]" }

// Retry is how long a task waits for its next attempt.
type Retry struct {
	Delay    string  `json:"delay,omitempty"`
	Factor   float64 `json:"factor,omitempty"`
	MaxDelay string  `json:"max_delay,omitempty"`
	Jitter   float64 `json:"jitter"`
}

// Rate is how many tasks may start in a second, and how many of them at once.
type Rate struct {
	PerSecond float64 `json:"per_second"`
	Burst     int     `json:"burst,omitempty"`
}

// PutType declares a type, or replaces the one of its name, and returns it as it is now.
func (c *Client) PutType(ctx context.Context, t Type) (*Type, error) {
	var put Type
	if err := c.do(ctx, http.MethodPut, typePath(t.Name), nil, "", t, &put); err != nil {
		return nil, fmt.Errorf("put a type: %w", err)
	}
	return &put, nil
}

// GetType looks at a type.
func (c *Client) GetType(ctx context.Context, name string) (*Type, error) {
	var t Type
	if err := c.do(ctx, http.MethodGet, typePath(name), nil, "", nil, &t); err != nil {
		return nil, fmt.Errorf("get a type: %w", err)
	}
	return &t, nil
}

// Types lists all types, in the order of their names.
func (c *Client) Types(ctx context.Context) ([]Type, error) {
	var list struct {
		Types []Type `json:"types"`
	}
	if err := c.do(ctx, http.MethodGet, "type", nil, "", nil, &list); err != nil {
		return nil, fmt.Errorf("list the types: %w", err)
	}
	return list.Types, nil
}

// DeleteType deletes a type of which no task is open.
func (c *Client) DeleteType(ctx context.Context, name string) error {
	if err := c.do(ctx, http.MethodDelete, typePath(name), nil, "", nil, nil); err != nil {
		return fmt.Errorf("delete a type: %w", err)
	}
	return nil
}

func typePath(name string) string { return "type/" + url.PathEscape(name) }
