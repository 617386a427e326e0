// Package users is the users of the system: they create, move, delete and look at
// tasks at a steady rate whatever the answers are, and write down what they
// asked and what they were told.
package users

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/judge"
)

// Load says what the users do.
type Load struct {
	Rate int           // tasks created a second
	Soon time.Duration // how far ahead most tasks are due, at most
	// Deletes, Retried, Slow and Keyed are how many tasks of a hundred are deleted,
	// allowed three attempts, slow, and created with an idempotency key.
	Deletes, Retried, Slow, Keyed int
	// Moves and Expiring are how many of a hundred are moved around their due time, and may
	// not start later than a moment after it.
	Moves, Expiring int
	// Cancels is how many of a hundred are cancelled, most of them while they run.
	Cancels int
	// Stay is how many tasks of a hundred are due after the run, so that something is
	// left to compare the two stores by, and comes within the horizon while that is done.
	Stay    int
	Edge    bool // all tasks are due just beyond the horizon
	Instant bool // all tasks are due within one second, after the last was created
	// Watched is how many tasks of a hundred are looked at again and again around their end.
	Watched int
	Walks   bool // somebody reads the list of all tasks, page by page
}

const (
	// requestTimeout is longer than the API may take to answer.
	requestTimeout = 15 * time.Second
	// maxInFlight bounds the creates that wait for an answer: when the system is
	// down the users pile up, but not without end.
	maxInFlight = 2000
	// maxTries bounds how often a create that has a key is sent: its outcome is known
	// in the end, or else nobody answers at all.
	maxTries = 30
	// looked is how many tasks of a hundred are looked at.
	looked = 10
	// maxWindow is how long a task that expires may start.
	maxWindow = 50 * time.Millisecond
	// beyond is how long after the run those are due, at least, that stay.
	beyond = 30 * time.Second
)

// Clients are the users of one run.
type Clients struct {
	rig        *rig.Rig
	load       Load
	apis       []*client.Client
	rng        *rand.Rand // of the loop that plans
	start, end time.Time

	creates errgroup.Group
	acts    sync.WaitGroup

	// Counts of what was answered.
	Acknowledged, Unknown, Failed, Deleted atomic.Int64
}

// New makes users whose choices follow from the seed of the system.
func New(r *rig.Rig, load Load) (*Clients, error) {
	shared := &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 512},
	}
	c := &Clients{rig: r, load: load, rng: rand.New(rand.NewPCG(r.Config.Seed, 1))}
	c.creates.SetLimit(maxInFlight)
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
func (c *Clients) Run(ctx context.Context, length time.Duration) error {
	c.start = time.Now()
	c.end = c.start.Add(length)
	ctx, stop := context.WithDeadline(ctx, c.end)
	defer stop()
	if c.load.Walks {
		c.acts.Go(func() { c.walk(ctx) })
	}
	for n := int64(0); rig.Pause(ctx, 10*time.Millisecond); {
		for want := int64(time.Since(c.start).Seconds() * float64(c.load.Rate)); n < want; {
			n++
			p := c.plan(n, time.Now())
			c.creates.TryGo(func() error { // none if too many wait
				c.create(ctx, p)
				return nil
			})
		}
	}
	err := c.creates.Wait()
	c.acts.Wait()
	return err
}

// plan is one task that somebody wants.
type plan struct {
	n    int64
	task client.NewTask
	// deleteAt and getAt are when somebody deletes it or looks at it; zero:
	// never.
	deleteAt, getAt time.Time
	// cancelAt is when somebody cancels it; zero: nobody does.
	cancelAt time.Time
	// moveAt is when somebody moves it, and moveTo where to; zero: nobody does.
	moveAt, moveTo time.Time
	// watchFrom is from when on somebody looks at it until it has ended; zero: nobody does.
	watchFrom time.Time
}

func (c *Clients) plan(n int64, now time.Time) plan {
	due, behaviour := c.due(now), "ok"
	p := plan{n: n, task: client.NewTask{
		Type: c.rig.Types[n%int64(len(c.rig.Types))].Name, MaxAttempts: 1, ExecutionTime: due.Truncate(time.Microsecond).UTC(),
	}}
	if c.chance(c.load.Slow) {
		behaviour = "slow"
	}
	if c.chance(c.load.Retried) {
		p.task.MaxAttempts = 3
		if c.chance(50) {
			behaviour = "flaky"
		}
	}
	if c.chance(c.load.Keyed) {
		p.task.Key = fmt.Sprintf("%d-%d", n, now.UnixNano())
	}
	if c.chance(c.load.Deletes) {
		// Most of them meet the start itself.
		p.deleteAt = due.Add(c.within(40*time.Millisecond) - 20*time.Millisecond)
		if p.deleteAt.After(c.end) {
			p.deleteAt = now.Add(c.within(c.load.Soon))
		}
	}
	switch {
	case c.chance(c.load.Moves) && p.deleteAt.IsZero() && p.task.MaxAttempts == 1:
		p.moveAt = due.Add(c.within(40*time.Millisecond) - 20*time.Millisecond)
		if p.moveAt.After(c.end) {
			p.moveAt = now.Add(c.within(c.load.Soon))
		}
		p.moveTo = p.moveAt.Add(c.within(c.load.Soon)).Truncate(time.Microsecond).UTC()
	case c.chance(c.load.Cancels) && p.deleteAt.IsZero():
		behaviour = "slow"
		p.cancelAt = latest(due, now).Add(c.within(300 * time.Millisecond))
	case c.chance(c.load.Expiring):
		until := p.task.ExecutionTime.Add(c.within(maxWindow))
		p.task.NotAfter = &until
	}
	if c.chance(looked) {
		p.getAt = now.Add(c.within(c.load.Soon + 2*time.Second))
	}
	if c.chance(c.load.Watched) {
		p.watchFrom = due.Add(-firstLook)
	}
	p.task.Payload = c.rig.Payload(behaviour, n)
	return p
}

// due is when the next task is due.
func (c *Clients) due(now time.Time) time.Time {
	horizon := c.rig.Config.Horizon
	switch roll := c.rng.IntN(100); {
	case c.load.Edge:
		return now.Add(horizon + c.within(4*time.Second))
	case roll < c.load.Stay:
		return c.end.Add(beyond + c.within(4*beyond))
	case c.load.Instant:
		return c.end.Add(3*time.Second + c.within(time.Second))
	case roll < c.load.Stay+10:
		return now.Add(-c.within(time.Minute)) // due at once
	case roll < c.load.Stay+20 && now.Add(3*horizon).Before(c.end):
		return now.Add(c.within(3 * horizon))
	default:
		return now.Add(c.within(c.load.Soon))
	}
}

func (c *Clients) chance(percent int) bool { return c.rng.IntN(100) < percent }

func (c *Clients) within(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d) + 1))
}

// create is one POST, and its repeats if it has a key. What was created is deleted and
// looked at when its plan says so and the run has not ended.
func (c *Clients) create(ctx context.Context, p plan) {
	tries := 1
	if p.task.Key != "" {
		tries = maxTries
	}
	sending, cancel := context.WithoutCancel(ctx), func() {}
	if keep := c.rig.Config.Retention; keep > 0 {
		// A create that comes when its task is no longer kept makes another one.
		sending, cancel = context.WithTimeout(sending, keep/2)
	}
	defer cancel()
	call := judge.Create(sending, c.apis, p.n, p.task, tries)
	c.rig.Record.Write(history.CallsFile, call)
	switch call.Outcome {
	case judge.Unknown:
		c.Unknown.Add(1)
	case judge.Fail:
		c.Failed.Add(1)
	case judge.OK:
		c.Acknowledged.Add(1)
		c.later(ctx, p.deleteAt, judge.Call{Op: "delete", N: p.n, Task: call.Task}, c.delete)
		c.later(ctx, p.cancelAt, judge.Call{Op: "cancel", N: p.n, Task: call.Task}, c.cancel)
		c.later(ctx, p.moveAt, judge.Call{Op: "move", N: p.n, Task: call.Task, Due: p.moveTo}, c.move)
		c.later(ctx, p.getAt, judge.Call{Op: "get", N: p.n, Task: call.Task}, c.get)
		if !p.watchFrom.IsZero() {
			c.watch(ctx, call.Task, p.n, p.watchFrom)
		}
	}
}

// later makes a call at a time, unless that is zero or the run has ended by then.
func (c *Clients) later(ctx context.Context, at time.Time, call judge.Call, do func(context.Context, *judge.Call)) {
	if at.IsZero() {
		return
	}
	c.acts.Go(func() {
		if rig.Pause(ctx, time.Until(at)) {
			call.Invoked = time.Now()
			do(context.WithoutCancel(ctx), &call)
			c.rig.Record.Write(history.CallsFile, call)
		}
	})
}

func (c *Clients) anyAPI() *client.Client { return c.apis[rand.IntN(len(c.apis))] }

func (c *Clients) delete(ctx context.Context, call *judge.Call) {
	call.Answer(c.anyAPI().Delete(ctx, call.Task))
	if call.Outcome == judge.OK {
		c.Deleted.Add(1)
	}
}

func (c *Clients) cancel(ctx context.Context, call *judge.Call) {
	found, err := c.anyAPI().Cancel(ctx, call.Task)
	call.Answer(err)
	if err == nil {
		call.Status = found.Status
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *Clients) move(ctx context.Context, call *judge.Call) {
	_, err := c.anyAPI().Patch(ctx, call.Task, client.Patch{ExecutionTime: &call.Due})
	call.Answer(err)
}

func (c *Clients) get(ctx context.Context, call *judge.Call) {
	found, err := c.anyAPI().Get(ctx, call.Task)
	call.Answer(err)
	if err == nil {
		call.Status = found.Status
	}
}

// Close closes what is idle.
func (c *Clients) Close() {
	for _, api := range c.apis {
		api.CloseIdleConnections()
	}
}
