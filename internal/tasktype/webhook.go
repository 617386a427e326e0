package tasktype

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// webhookBodyLimit is how much of a response is kept, in bytes.
const webhookBodyLimit = 64 << 10

// webhookResult is what the task's result keeps of the response.
type webhookResult struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	// Truncated: the response was longer than what is kept, or broke off.
	Truncated bool `json:"truncated,omitempty"`
	// BodyError says why the body broke off.
	BodyError string `json:"body_error,omitempty"`
}

// newWebhook makes the type that sends a request wherever the payload says. A
// status of 2xx is the receiver's word that it took the request, and so the
// task is done even if the rest of the response does not arrive.
func newWebhook(send func(context.Context, *task.Task, call) (json.RawMessage, error)) taskType {
	return taskType{
		check: func(payload json.RawMessage, _ time.Duration) []Problem {
			_, problems := parseCall(payload)
			return problems
		},
		run: func(ctx context.Context, t *task.Task) (json.RawMessage, error) {
			c, problems := parseCall(t.Payload)
			if err := payloadError(problems); err != nil {
				return nil, err
			}
			return send(ctx, t, c)
		},
	}
}

// send carries out the call of a task, once.
func (r *Registry) send(ctx context.Context, t *task.Task, c call) (json.RawMessage, error) {
	request := newRequest(ctx, t, c.method, c.url, c.body)
	for name, values := range c.header {
		request.Header[name] = values
	}
	telemetry.Inject(ctx, request.Header)
	response, err := r.web.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("send %s to %s: %w", c.method, origin(c.url), err)
	}
	kept := keepResponse(response)
	if err := response.Body.Close(); err != nil {
		r.log.WarnContext(ctx, "response body not closed", "task_id", t.ID, "error", err)
	}
	result, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	if kept.Status/100 != 2 {
		return result, fmt.Errorf("send %s to %s: answered with status %d", c.method, origin(c.url), kept.Status)
	}
	return result, nil
}

// keepResponse reads the head of a body as text that Postgres can store.
func keepResponse(response *http.Response) webhookResult {
	kept := webhookResult{Status: response.StatusCode}
	body, err := io.ReadAll(io.LimitReader(response.Body, webhookBodyLimit+1))
	if err != nil {
		kept.Truncated, kept.BodyError = true, err.Error()
	}
	if len(body) > webhookBodyLimit {
		kept.Truncated = true
		body = body[:webhookBodyLimit]
		// Half a character at the cut is no fault of the sender.
		for i := 1; i < utf8.UTFMax && i <= len(body); i++ {
			if tail := body[len(body)-i:]; utf8.RuneStart(tail[0]) {
				if !utf8.FullRune(tail) {
					body = body[:len(body)-i]
				}
				break
			}
		}
	}
	kept.Body = strings.ReplaceAll(strings.ToValidUTF8(string(body), "\uFFFD"), "\x00", "\uFFFD")
	return kept
}
