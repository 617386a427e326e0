package postgres

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// typeColumn is one column of the table types that a client sets. A new field of a type is
// one more entry of typeColumns, and one more of typeRow.
type typeColumn struct {
	name string
	// value is what PutType sends.
	value func(*task.Type) any
	// from is the expression that is stored, if it is not the parameter as it is. It has
	// one verb, for the parameter's number.
	from string
}

// typeList is columns of types.
type typeList []typeColumn

var typeColumns = typeList{
	{name: "name", value: func(t *task.Type) any { return t.Name }},
	{name: "handler", value: func(t *task.Type) any { return string(t.Handler) }},
	{name: "webhook", value: webhookValue, from: `CASE WHEN $%[1]d::jsonb IS NOT NULL THEN (coalesce(old.webhook - 'url' - 'headers', '{}') || $%[1]d::jsonb)::json END`},
	{name: "timeout", value: func(t *task.Type) any { return t.Timeout }},
	{name: "max_attempts", value: func(t *task.Type) any { return t.MaxAttempts }},
	{name: "retry_delay", value: ofRetry(func(r *task.Retry) any { return r.Delay })},
	{name: "retry_factor", value: ofRetry(func(r *task.Retry) any { return r.Factor })},
	{name: "retry_max_delay", value: ofRetry(func(r *task.Retry) any { return r.MaxDelay })},
	{name: "retry_jitter", value: ofRetry(func(r *task.Retry) any { return r.Jitter })},
	{name: "expires_in", value: func(t *task.Type) any { return t.ExpiresIn }},
	{name: "max_running", value: func(t *task.Type) any { return t.MaxRunning }},
	{name: "rate_per_second", value: ofRate(func(r *task.Rate) any { return r.PerSecond })},
	{name: "rate_burst", value: ofRate(func(r *task.Rate) any { return r.Burst })},
	{name: "paused", value: func(t *task.Type) any { return t.Paused }},
	{name: "payload_schema", value: func(t *task.Type) any { return textOrNil(t.PayloadSchema) }, from: `$%d::text::json`},
}

func ofRetry(value func(*task.Retry) any) func(*task.Type) any {
	return func(t *task.Type) any {
		if t.Retry == nil {
			return nil
		}
		return value(t.Retry)
	}
}

func ofRate(value func(*task.Rate) any) func(*task.Type) any {
	return func(t *task.Type) any {
		if t.Rate == nil {
			return nil
		}
		return value(t.Rate)
	}
}

func textOrNil(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	return string(raw)
}

// storedWebhook is a webhook as the column holds it. In what PutType sends, a secret that
// is absent stays; an empty one is stored as that, and stands for none.
type storedWebhook struct {
	URL            string            `json:"url"`
	Headers        map[string]string `json:"headers,omitempty"`
	Secret         *string           `json:"secret,omitempty"`
	PreviousSecret *string           `json:"previous_secret,omitempty"`
}

func webhookValue(t *task.Type) any {
	if t.Webhook == nil {
		return nil
	}
	reveal := func(s *task.Secret) *string {
		if s == nil {
			return nil
		}
		text := s.Reveal()
		return &text
	}
	w := storedWebhook{t.Webhook.URL, t.Webhook.Headers, reveal(t.Webhook.Secret), reveal(t.Webhook.PreviousSecret)}
	encoded, err := json.Marshal(w) //nolint:gosec // G117: this is where it is kept
	if err != nil {                 // strings always encode
		return nil
	}
	return string(encoded)
}

func typeValues(t *task.Type) []any {
	values := make([]any, len(typeColumns))
	for i, c := range typeColumns {
		values[i] = c.value(t)
	}
	return values
}

func (columns typeList) list(expression func(i int, c typeColumn) string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = expression(i, c)
	}
	return strings.Join(parts, ", ")
}

func (columns typeList) names() string {
	return columns.list(func(_ int, c typeColumn) string { return c.name })
}

// parameters are the values to store, of which the first is parameter n.
func (columns typeList) parameters(n int) string {
	return columns.list(func(i int, c typeColumn) string {
		if c.from != "" {
			return fmt.Sprintf(c.from, n+i)
		}
		return fmt.Sprintf("$%d", n+i)
	})
}

// parameter is that of one of them.
func (columns typeList) parameter(name string, n int) string {
	i := slices.IndexFunc(columns, func(c typeColumn) bool { return c.name == name })
	return fmt.Sprintf("$%d", n+i)
}

// excluded sets them in a row that is there.
func (columns typeList) excluded() string {
	return columns.list(func(_ int, c typeColumn) string { return c.name + " = excluded." + c.name })
}

// typeRow is where the driver puts a row of types.
type typeRow struct {
	t                    task.Type
	webhook, schema      *string
	delay, maxDelay      *time.Duration
	factor, jitter, rate *float64
	burst                *int
}

// targets are for typeColumns, and then version and updated_at.
func (r *typeRow) targets() []any {
	return []any{
		&r.t.Name, &r.t.Handler, &r.webhook, &r.t.Timeout, &r.t.MaxAttempts, &r.delay, &r.factor, &r.maxDelay, &r.jitter, &r.t.ExpiresIn,
		&r.t.MaxRunning, &r.rate, &r.burst, &r.t.Paused, &r.schema, &r.t.Version, &r.t.UpdatedAt,
	}
}

func (r *typeRow) read() (task.Type, error) {
	t := r.t
	t.PayloadSchema = raw(r.schema)
	if r.delay != nil {
		t.Retry = &task.Retry{Delay: *r.delay, Factor: orZero(r.factor), MaxDelay: orZero(r.maxDelay), Jitter: orZero(r.jitter)}
	}
	if r.rate != nil {
		t.Rate = &task.Rate{PerSecond: *r.rate, Burst: orZero(r.burst)}
	}
	if r.webhook != nil {
		var stored storedWebhook
		if err := json.Unmarshal([]byte(*r.webhook), &stored); err != nil {
			return t, fmt.Errorf("read the webhook of a type: %w", err)
		}
		t.Webhook = &task.Webhook{
			URL: stored.URL, Headers: stored.Headers,
			Secret: secret(stored.Secret), PreviousSecret: secret(stored.PreviousSecret),
		}
	}
	return t, nil
}

func secret(text *string) *task.Secret {
	if orZero(text) == "" {
		return nil
	}
	s := task.Secret(*text)
	return &s
}
