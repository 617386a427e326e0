// Package users is the users of the system: they create, delete and look at
// tasks at a steady rate whatever the answers are, and write down what they
// asked and what they were told.
package users

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/judge"
)

const (
	// requestTimeout is longer than the API may take to answer.
	requestTimeout = 15 * time.Second
	// maxInFlight bounds the creates that wait for an answer: when the system is
	// down the users pile up, but not without end.
	maxInFlight = 2000
	// maxTries bounds how often a create that has a key is sent: its outcome is known
	// in the end, or else nobody answers at all.
	maxTries = 30
)

// Clients are the users of one run.
type Clients struct {
	rig    *rig.Rig
	load   Load
	apis   []*client.Client
	rng    *rand.Rand // of the loop that plans
	start  time.Time
	length time.Duration

	n        int64
	inFlight chan struct{}
	calls    sync.WaitGroup

	// Counts of what was answered.
	Acknowledged, Unknown, Failed, Deleted atomic.Int64
}

// New makes users whose choices follow from the seed of the system.
func New(r *rig.Rig, load Load) (*Clients, error) {
	shared := &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512},
	}
	c := &Clients{
		rig: r, load: load, rng: rand.New(rand.NewPCG(r.Config.Seed, 1)), inFlight: make(chan struct{}, maxInFlight),
	}
	for _, n := range r.APIs {
		api, err := client.New("http://"+n.Addr, client.WithHTTPClient(shared))
		if err != nil {
			return nil, err
		}
		c.apis = append(c.apis, api)
	}
	return c, nil
}

// Run creates tasks for the given time, and waits for the last answer.
func (c *Clients) Run(ctx context.Context, length time.Duration) {
	c.start, c.length = time.Now(), length
	defer c.calls.Wait()
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for want := int(time.Since(c.start).Seconds() * float64(c.load.Rate)); sent < want; sent++ {
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
		call := c.create(context.WithoutCancel(ctx), p)
		<-c.inFlight
		if call.Outcome == judge.OK {
			c.follow(ctx, p, call.Task)
		}
	})
}

// create is one POST, and its repeats if it has a key.
func (c *Clients) create(ctx context.Context, p plan) judge.Call {
	tries := 1
	if p.task.Key != "" {
		tries = maxTries
	}
	call := judge.Create(ctx, c.apis, p.n, p.task, tries)
	c.rig.Record.Write(history.CallsFile, call)
	switch call.Outcome {
	case judge.OK:
		c.Acknowledged.Add(1)
	case judge.Unknown:
		c.Unknown.Add(1)
	case judge.Fail:
		c.Failed.Add(1)
	}
	return call
}

// follow deletes a task and looks at it, when its plan says so and the run has
// not ended.
func (c *Clients) follow(ctx context.Context, p plan, id uuid.UUID) {
	c.later(ctx, p.deleteAt, func(ctx context.Context, api *client.Client) {
		call := judge.Call{Op: "delete", N: p.n, Task: id, Invoked: time.Now(), Status: client.Deleted}
		call.Answer(api.Delete(ctx, id))
		c.rig.Record.Write(history.CallsFile, call)
		if call.Outcome == judge.OK {
			c.Deleted.Add(1)
		}
	})
	c.later(ctx, p.getAt, func(ctx context.Context, api *client.Client) {
		call := judge.Call{Op: "get", N: p.n, Task: id, Invoked: time.Now()}
		found, err := api.Get(ctx, id)
		call.Answer(err)
		if err == nil {
			call.Status = found.Status
		}
		c.rig.Record.Write(history.CallsFile, call)
	})
}

// later does something at a time, unless that is zero or the run has ended by then.
func (c *Clients) later(ctx context.Context, at time.Time, do func(context.Context, *client.Client)) {
	if at.IsZero() {
		return
	}
	c.calls.Go(func() {
		if rig.Pause(ctx, time.Until(at)) {
			do(context.WithoutCancel(ctx), c.apis[rand.IntN(len(c.apis))])
		}
	})
}

// Close closes what is idle.
func (c *Clients) Close() {
	for _, api := range c.apis {
		api.CloseIdleConnections()
	}
}
