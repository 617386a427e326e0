package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// requestTimeout is longer than the API may take to answer.
const requestTimeout = 15 * time.Second

// answer is what one request came to.
type answer struct {
	outcome history.Outcome
	// code is the HTTP status of a refusal, 0 if no answer came.
	code   int
	why    string
	task   uuid.UUID
	status string
}

// newAPIs speak to the APIs at these addresses (host:port) over shared connections.
func newAPIs(addresses []string) (apis []*client.Client, err error) {
	shared := &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512},
	}
	for _, address := range addresses {
		api, err := client.New("http://"+address, client.WithHTTPClient(shared))
		if err != nil {
			return nil, err
		}
		apis = append(apis, api)
	}
	return apis, nil
}

func (c *Clients) anyAPI() *client.Client { return c.apis[rand.IntN(len(c.apis))] }

// post creates a task, once.
func (c *Clients) post(ctx context.Context, p plan, payload json.RawMessage) answer {
	id, err := c.anyAPI().Create(ctx, client.NewTask{
		Type: p.taskType, ExecutionTime: p.due, MaxAttempts: p.maxAttempts, Payload: payload, Key: p.key,
	})
	a := answerOf(err)
	a.task = id
	return a
}

func (c *Clients) delete(ctx context.Context, id uuid.UUID) answer {
	a := answerOf(c.anyAPI().Delete(ctx, id))
	if a.outcome == history.OK {
		a.status = client.Deleted
	}
	return a
}

func (c *Clients) get(ctx context.Context, id uuid.UUID) answer {
	found, err := c.anyAPI().Get(ctx, id)
	a := answerOf(err)
	if err == nil {
		a.status = found.Status
	}
	return a
}

// answerOf tells an answer from a request that was never sent, and both from one that
// may have been carried out.
func answerOf(err error) answer {
	var p *client.Problem
	switch {
	case err == nil:
		return answer{outcome: history.OK}
	case client.NotSent(err):
		return answer{outcome: history.Fail, why: "dial"}
	case !errors.As(err, &p):
		return answer{outcome: history.Unknown, why: fmt.Sprintf("%T", errors.Unwrap(errors.Unwrap(err)))}
	}
	a := answer{outcome: history.Fail, code: p.Status, why: p.Code, status: p.TaskStatus}
	if p.Unknown() || p.Code == "" {
		a.outcome = history.Unknown
	}
	return a
}
