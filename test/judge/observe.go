package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/testkit/witness"
)

// maxPause bounds how long a Retry-After is heeded.
const maxPause = 10 * time.Second

// Create sends the nth create, by any of these APIs, until its outcome is known or it
// was tried so often. Every try carries the task's key: with one they make one task
// together, and without there should be one try alone.
func Create(ctx context.Context, apis []*client.Client, n int64, t client.NewTask, tries int) Call {
	call := Call{Op: "create", N: n, Due: t.ExecutionTime, Invoked: time.Now()}
	for maybe := false; ; {
		id, err := apis[rand.IntN(len(apis))].Create(ctx, t)
		call.Task = id
		call.Answer(err)
		call.Tries++
		maybe = maybe || call.Outcome == Unknown
		if maybe && call.Outcome == Fail {
			call.Outcome = Unknown // an earlier try may have succeeded
		}
		pause := time.Second
		p, answered := errors.AsType[*client.Problem](err)
		if answered && p.RetryAfter >= 0 {
			pause = min(p.RetryAfter, maxPause)
		}
		if err == nil || call.Tries == tries || answered && !p.Temporary() && !p.Unknown() {
			return call
		}
		select {
		case <-ctx.Done():
			return call
		case <-time.After(time.Duration((0.5 + rand.Float64()) * float64(pause))):
		}
	}
}

// Answer notes what one request came to. It tells an answer from a request that was
// never sent, and both from one that may have been carried out.
func (c *Call) Answer(err error) {
	c.Returned, c.Outcome, c.Status, c.Code, c.Why = time.Now(), OK, "", 0, ""
	p, answered := errors.AsType[*client.Problem](err)
	switch {
	case err == nil:
	case client.NotSent(err):
		c.Outcome, c.Why = Fail, "dial"
	case !answered:
		c.Outcome, c.Why = Unknown, fmt.Sprintf("%T", errors.Unwrap(errors.Unwrap(err)))
	default:
		c.Outcome, c.Code, c.Why, c.Status = Fail, p.Status, p.Code, p.TaskStatus
		if p.Unknown() || p.Code == "" {
			c.Outcome = Unknown
		}
	}
}

// Witness is where the effects of webhook tasks go. It knows of executions what the
// scheduler cannot gloss over.
type Witness struct{ *witness.Witness }

// Listen receives webhooks on loopback until Close. Their paths are /<word>/<n>, n being
// the number of the create; hear is called before the answer. Tasks of a type with an
// endpoint call /, and name that as the url in their body.
func Listen(hear func(word string, a Arrival, out http.ResponseWriter)) (Witness, error) {
	w, err := witness.Start(func(call witness.Call, out http.ResponseWriter) {
		path, err := call.Path, error(nil)
		if path == "/" {
			path, err = pathIn(call.Body)
		}
		word, number, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		n, err2 := strconv.ParseInt(number, 10, 64)
		err = errors.Join(err, err2)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		hear(word, Arrival{N: n, Task: call.Task, Attempt: call.Attempt, At: call.At}, out)
	})
	return Witness{w}, err
}

// pathIn is that of the url in a payload.
func pathIn(payload io.Reader) (string, error) {
	var body struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(payload).Decode(&body); err != nil {
		return "", err
	}
	called, err := url.Parse(body.URL)
	if err != nil {
		return "", err
	}
	return called.Path, nil
}

// Payload makes the webhook task of a create call this witness, with a body of JSON or
// none.
func (w Witness) Payload(word string, n int64, body []byte) []byte {
	payload := fmt.Appendf(nil, `{"method":"POST","url":%q`, w.URL(fmt.Sprintf("/%s/%d", word, n)))
	if len(body) > 0 {
		payload = append(append(payload, `,"body":`...), body...)
	}
	return append(payload, '}')
}

// Spread describes how durations are spread.
type Spread struct {
	Count         int
	P50, P99, Max time.Duration
}

// SpreadOf sorts the durations and ranks them.
func SpreadOf(durations []time.Duration) Spread {
	if len(durations) == 0 {
		return Spread{}
	}
	slices.Sort(durations)
	rank := func(percent int) time.Duration { return durations[(len(durations)*percent+99)/100-1] }
	return Spread{Count: len(durations), P50: rank(50), P99: rank(99), Max: rank(100)}
}

func (s Spread) String() string {
	if s.Count == 0 {
		return "of no task"
	}
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v p99 %v max %v (%d)", round(s.P50), round(s.P99), round(s.Max), s.Count)
}
