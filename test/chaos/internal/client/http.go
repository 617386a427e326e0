package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// requestTimeout is longer than the API may take to answer.
const requestTimeout = 15 * time.Second

// answer is what one request came to.
type answer struct {
	outcome history.Outcome
	// code is the HTTP status, 0 if no answer came.
	code   int
	why    string
	task   uuid.UUID
	status string
}

// body is what may stand in an answer.
type body struct {
	TaskID     uuid.UUID `json:"task_id"`
	Status     any       `json:"status"` // a task's is a word, a problem's a number
	Code       string    `json:"code"`
	TaskStatus string    `json:"task_status"`
}

func newHTTP() *http.Client {
	return &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512},
	}
}

// send sends one request, once: net/http repeats none that has a body, and
// GetBody is left out for the same reason.
func (c *Clients) send(ctx context.Context, method, url, key string, payload []byte) answer {
	var reader io.Reader = http.NoBody
	if payload != nil {
		reader = struct{ io.Reader }{bytes.NewReader(payload)}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return answer{outcome: history.Fail, why: err.Error()}
	}
	if payload != nil {
		request.ContentLength = int64(len(payload))
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return transportError(err)
	}
	var b body
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // what matters of it was read
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return answer{outcome: history.Unknown, code: response.StatusCode, why: "answer broke off: " + err.Error()}
	}
	a := answer{outcome: history.Fail, code: response.StatusCode, why: b.Code, task: b.TaskID, status: b.TaskStatus}
	if word, isTask := b.Status.(string); isTask {
		a.status = word
	}
	switch {
	case response.StatusCode < 300:
		a.outcome = history.OK
	case b.Code == "outcome_unknown" || b.Code == "internal":
		a.outcome = history.Unknown
	}
	return a
}

// transportError tells a request that was never sent from one that may have
// been carried out.
func transportError(err error) answer {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return answer{outcome: history.Fail, why: "dial"}
	}
	return answer{outcome: history.Unknown, why: fmt.Sprintf("%T", errors.Unwrap(err))}
}
