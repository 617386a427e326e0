package tasktype

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// DefaultBarURL is what bar gets when neither the payload nor the configuration
// names a URL.
const DefaultBarURL = "https://example.com/"

// newBar makes the type that gets a URL and prints the response's status. Any
// status is a success: reporting it is what the task is for.
func newBar(log *slog.Logger, web http.RoundTripper, fallback string) taskType {
	return taskType{
		check: func(payload json.RawMessage, _ time.Duration) []Problem {
			_, problems := barURL(payload, fallback)
			return problems
		},
		run: func(ctx context.Context, t *task.Task) (json.RawMessage, error) {
			target, problems := barURL(t.Payload, fallback)
			if err := payloadError(problems); err != nil {
				return nil, err
			}
			request := newRequest(ctx, t, http.MethodGet, target, nil)
			response, err := web.RoundTrip(request)
			if err != nil {
				return nil, fmt.Errorf("get %s: %w", origin(target), err)
			}
			output := strconv.Itoa(response.StatusCode)
			printOutput(ctx, log, t, output)
			if err := response.Body.Close(); err != nil {
				log.WarnContext(ctx, "response body not closed", "task_id", t.ID, "error", err)
			}
			return json.Marshal(map[string]any{"output": output, "status": response.StatusCode})
		},
	}
}

// barURL reads where bar goes.
func barURL(payload json.RawMessage, fallback string) (*url.URL, []Problem) {
	fields, _, problems := members(payload, "url")
	if problems != nil {
		return nil, problems
	}
	raw, problems := text(fields, "url")
	if problems != nil {
		return nil, problems
	}
	if _, given := fields["url"]; !given {
		raw = fallback
	}
	return parseTarget(raw)
}
