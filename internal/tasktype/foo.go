package tasktype

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	fooDefault = 3 * time.Second
	fooMax     = 24 * time.Hour
)

// newFoo makes the type that sleeps and prints its own id.
func newFoo(log *slog.Logger) taskType {
	return taskType{
		check: func(payload json.RawMessage, timeout time.Duration) []Problem {
			_, problems := fooDuration(payload, min(timeout, fooMax))
			return problems
		},
		run: func(ctx context.Context, t *task.Task) (json.RawMessage, error) {
			duration, problems := fooDuration(t.Payload, fooMax)
			if err := payloadError(problems); err != nil {
				return nil, err
			}
			timer := time.NewTimer(duration)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			output := "Foo " + t.ID.String()
			printOutput(ctx, log, t, output)
			return json.Marshal(map[string]string{"output": output})
		},
	}
}

// fooDuration reads how long foo sleeps: a Go duration or a number of seconds, and
// no longer than longest.
func fooDuration(payload json.RawMessage, longest time.Duration) (time.Duration, []Problem) {
	fields, _, problems := members(payload, "duration")
	raw, given := fields["duration"]
	if problems != nil || !given {
		return min(fooDefault, longest), problems
	}
	bad := []Problem{{"payload.duration", fmt.Sprintf(`must be a duration such as "1m30s" or a number of seconds, from 0 to %v`, longest)}}

	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err == nil {
		if seconds < 0 || seconds > longest.Seconds() {
			return 0, bad
		}
		return time.Duration(seconds * float64(time.Second)), nil
	}
	written, problems := text(fields, "duration")
	if problems != nil {
		return 0, bad
	}
	duration, err := time.ParseDuration(written)
	if err != nil || duration < 0 || duration > longest {
		return 0, bad
	}
	return duration, nil
}
