// Package users is the users of the system: they create, delete and look at
// tasks at a steady rate whatever the answers are, and write down what they
// asked and what they were told.
package users

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// Options say what the users do.
type Options struct {
	// APIs are host:port.
	APIs []string
	// Rate is how many tasks are created a second.
	Rate int
	// From and Soon are how far ahead most tasks are due: between From and
	// From and Soon.
	From, Soon time.Duration
	// Instant, if it is set, is when all tasks are due, within a second.
	Instant time.Time
	// Ahead is how far ahead a few are due, beyond the horizon.
	Ahead time.Duration
	// Stay is how many tasks of a hundred are due after the run, from Beyond to
	// five times Beyond from its end, so that something is left to compare the
	// two rings by, and comes within the horizon while that is done.
	Stay   int
	Beyond time.Duration
	// Deletes, Gets, Retried, Slow and Keyed are how many tasks of a hundred
	// are deleted, looked at, allowed three attempts, slow, and created with an
	// idempotency key.
	Deletes, Gets, Retried, Slow, Keyed int
	// Types are those of the tasks, in turn.
	Types []string
	// URL is what the task of a create calls.
	URL func(behaviour string, n int64) string
	// Body is what the task of a create carries besides, as JSON. Nil, and a nil
	// answer, are nothing.
	Body func(n int64) []byte
}

// Clients are the users of one run.
type Clients struct {
	options Options
	apis    []*client.Client
	record  *history.Recorder
	rng     *rand.Rand // of the loop that plans
	start   time.Time
	length  time.Duration

	n        atomic.Int64
	inFlight chan struct{}
	calls    sync.WaitGroup

	// Counts of what was answered.
	Acknowledged, Unknown, Failed, Refused, Deleted atomic.Int64
}

// maxInFlight bounds the calls that wait for an answer: when the system is
// down the users pile up, but not without end.
const maxInFlight = 2000

// New makes users whose choices follow from the seed.
func New(options Options, seed uint64, record *history.Recorder) (*Clients, error) {
	apis, err := newAPIs(options.APIs)
	if err != nil {
		return nil, err
	}
	return &Clients{
		options: options, apis: apis, record: record,
		rng: rand.New(rand.NewPCG(seed, 1)), inFlight: make(chan struct{}, maxInFlight),
	}, nil
}

// plan is one task that somebody wants.
type plan struct {
	n           int64
	taskType    string
	due         time.Time
	behaviour   string
	maxAttempts int
	key         string
	// deleteAt and getAt are when somebody deletes it or looks at it; zero:
	// never.
	deleteAt, getAt time.Time
}

// Run creates tasks for the given time, and waits for the last answer.
func (c *Clients) Run(ctx context.Context, length time.Duration) {
	c.start, c.length = time.Now(), length
	defer c.calls.Wait()
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	const tick = 10 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	sent := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for want := int(time.Since(c.start).Seconds() * float64(c.options.Rate)); sent < want; sent++ {
			c.begin(ctx, c.plan(time.Now()))
		}
	}
}

// begin carries out one plan beside all others, or skips it if too many wait.
func (c *Clients) begin(ctx context.Context, p plan) {
	select {
	case c.inFlight <- struct{}{}:
	default:
		return
	}
	c.calls.Go(func() {
		id, known := c.create(context.WithoutCancel(ctx), p)
		<-c.inFlight
		if known {
			c.follow(ctx, p, id)
		}
	})
}

func (c *Clients) plan(now time.Time) plan {
	o, chance := c.options, func(percent int) bool { return c.rng.IntN(100) < percent }
	within := func(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d) + 1)) }
	p := plan{n: c.n.Add(1), behaviour: "ok", maxAttempts: 1}
	p.taskType = o.Types[p.n%int64(len(o.Types))]
	end := c.start.Add(c.length)
	switch roll := c.rng.IntN(100); {
	case roll < o.Stay:
		p.due = end.Add(o.Beyond + within(4*o.Beyond))
	case !o.Instant.IsZero():
		p.due = o.Instant.Add(within(time.Second))
	case o.From > 0:
		p.due = now.Add(o.From + within(o.Soon))
	case roll < o.Stay+10:
		p.due = now.Add(-within(time.Minute)) // due at once
	case roll < o.Stay+20 && now.Add(o.Ahead).Before(end):
		p.due = now.Add(within(o.Ahead))
	default:
		p.due = now.Add(within(o.Soon))
	}
	if chance(o.Slow) {
		p.behaviour = "slow"
	}
	if chance(o.Retried) {
		p.maxAttempts = 3
		if chance(50) {
			p.behaviour = "flaky"
		}
	}
	if chance(o.Keyed) {
		p.key = fmt.Sprintf("%d-%d", p.n, now.UnixNano())
	}
	if chance(o.Deletes) {
		// Most of them meet the start itself.
		p.deleteAt = p.due.Add(within(40*time.Millisecond) - 20*time.Millisecond)
		if p.deleteAt.After(end) {
			p.deleteAt = now.Add(within(o.Soon))
		}
	}
	if chance(o.Gets) {
		p.getAt = now.Add(within(o.Soon + 2*time.Second))
	}
	p.due = p.due.Truncate(time.Microsecond).UTC()
	return p
}

// create is one POST, and its repeats if it has a key: for those the outcome is
// known in the end, or else nobody answers at all.
func (c *Clients) create(ctx context.Context, p plan) (uuid.UUID, bool) {
	payload, err := json.Marshal(c.payload(p))
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	call := history.Call{
		Op: "create", N: p.n, Due: p.due, MaxAttempts: p.maxAttempts, Keyed: p.key != "", Invoked: time.Now(),
	}
	var a answer
	for unknown := false; ; {
		a = c.post(ctx, p, payload)
		call.Tries++
		unknown = unknown || a.outcome == history.Unknown
		if a.outcome == history.Fail && unknown {
			a.outcome = history.Unknown // an earlier try may have succeeded
		}
		if a.outcome == history.OK || p.key == "" || call.Tries == 30 || a.code == http.StatusUnprocessableEntity {
			break
		}
		time.Sleep(time.Second/2 + rand.N(time.Second))
	}
	call.Returned, call.Outcome, call.Task, call.Why = time.Now(), a.outcome, a.task, a.why
	c.record.Write(history.CallsFile, call)
	c.count(a)
	return a.task, a.outcome == history.OK
}

// payload is that of a webhook to the witness.
func (c *Clients) payload(p plan) map[string]any {
	payload := map[string]any{"method": "POST", "url": c.options.URL(p.behaviour, p.n)}
	if c.options.Body != nil {
		if body := c.options.Body(p.n); body != nil {
			payload["body"] = json.RawMessage(body)
		}
	}
	return payload
}

func (c *Clients) count(a answer) {
	switch {
	case a.outcome == history.OK:
		c.Acknowledged.Add(1)
	case a.outcome == history.Unknown:
		c.Unknown.Add(1)
	case a.code == http.StatusTooManyRequests || a.code == http.StatusServiceUnavailable:
		c.Refused.Add(1)
	default:
		c.Failed.Add(1)
	}
}

// follow deletes a task and looks at it, when its plan says so and the run has
// not ended.
func (c *Clients) follow(ctx context.Context, p plan, id uuid.UUID) {
	acts := []struct {
		at time.Time
		op string
		do func(context.Context, uuid.UUID) answer
	}{{p.deleteAt, "delete", c.delete}, {p.getAt, "get", c.get}}
	if !p.deleteAt.IsZero() && p.getAt.Before(p.deleteAt) {
		acts[0], acts[1] = acts[1], acts[0]
	}
	for _, act := range acts {
		if act.at.IsZero() {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(act.at)):
			c.ask(context.WithoutCancel(ctx), act.op, act.do, p.n, id)
		}
	}
}

// ask is one DELETE or GET; what it did not learn stays unknown.
func (c *Clients) ask(
	ctx context.Context, op string, do func(context.Context, uuid.UUID) answer, n int64, id uuid.UUID,
) {
	call := history.Call{Op: op, N: n, Task: id, Invoked: time.Now(), Tries: 1}
	a := do(ctx, id)
	call.Returned, call.Outcome, call.Status, call.Why = time.Now(), a.outcome, a.status, a.why
	c.record.Write(history.CallsFile, call)
	if op == "delete" && a.outcome == history.OK {
		c.Deleted.Add(1)
	}
}

// Close closes what is idle.
func (c *Clients) Close() {
	for _, api := range c.apis {
		api.CloseIdleConnections()
	}
}
