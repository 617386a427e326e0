package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// storedRetry is the column retry. Its durations are in seconds, for SQL.
type storedRetry struct {
	Delay    float64 `json:"delay"`
	Factor   float64 `json:"factor"`
	MaxDelay float64 `json:"max_delay"`
	Jitter   float64 `json:"jitter"`
}

// retryText is the column's value, or nil.
func retryText(r *task.Retry) *string {
	if r == nil {
		return nil
	}
	encoded, err := json.Marshal(storedRetry{r.Delay.Seconds(), r.Factor, r.MaxDelay.Seconds(), r.Jitter})
	if err != nil { // finite numbers always encode
		return nil
	}
	text := string(encoded)
	return &text
}

// retryOf is where the driver puts the column.
type retryOf struct{ to **task.Retry }

// Scan implements sql.Scanner.
func (r retryOf) Scan(value any) error {
	*r.to = nil
	text, given := value.(string)
	if bytes, ok := value.([]byte); ok {
		text, given = string(bytes), true
	}
	if !given {
		return nil
	}
	var stored storedRetry
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return fmt.Errorf("read how a task is retried: %w", err)
	}
	*r.to = &task.Retry{
		Delay: seconds(stored.Delay), Factor: stored.Factor, MaxDelay: seconds(stored.MaxDelay), Jitter: stored.Jitter,
	}
	return nil
}

// seconds is exact to the microsecond, which is finer than what a client may ask for.
func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}

func changeRetry(to *task.Change) (any, bool) {
	if to.Retry == nil {
		return nil, false
	}
	return retryText(to.Retry.Value), true
}

func valueTo[T any](to *task.To[T]) (any, bool) {
	if to == nil {
		return nil, false
	}
	return to.Value, true
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// tagged is an optional value in a digest, with its name, so that no two of them are taken for
// each other.
func tagged[T any](name string, value *T) []byte {
	if value == nil {
		return nil
	}
	return fmt.Appendf(nil, "%s=%v", name, *value)
}
