package users

import (
	"fmt"
	"time"

	"github.com/timewheel/timewheel/client"
)

// Load says what the users do.
type Load struct {
	// Rate is how many tasks are created a second.
	Rate int
	// Soon is how far ahead most tasks are due, at most.
	Soon time.Duration
	// Deletes, Retried, Slow and Keyed are how many tasks of a hundred are deleted,
	// allowed three attempts, slow, and created with an idempotency key.
	Deletes, Retried, Slow, Keyed int
	// Stay is how many tasks of a hundred are due after the run, so that something is
	// left to compare the two rings by, and comes within the horizon while that is done.
	Stay int
	// Edge: all tasks are due just beyond the horizon.
	Edge bool
	// Instant: all tasks are due within one second, after the last was created.
	Instant bool
}

const (
	// looked is how many tasks of a hundred are looked at.
	looked = 10
	// beyond is how long after the run those are due, at least, that stay.
	beyond = 30 * time.Second
)

// plan is one task that somebody wants.
type plan struct {
	n    int64
	task client.NewTask
	// deleteAt and getAt are when somebody deletes it or looks at it; zero:
	// never.
	deleteAt, getAt time.Time
}

func (c *Clients) plan(now time.Time) plan {
	c.n++
	p, behaviour := plan{n: c.n, task: client.NewTask{Type: "webhook", MaxAttempts: 1}}, "ok"
	due, end := c.due(now), c.start.Add(c.length)
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
		p.task.Key = fmt.Sprintf("%d-%d", p.n, now.UnixNano())
	}
	if c.chance(c.load.Deletes) {
		// Most of them meet the start itself.
		p.deleteAt = due.Add(c.within(40*time.Millisecond) - 20*time.Millisecond)
		if p.deleteAt.After(end) {
			p.deleteAt = now.Add(c.within(c.load.Soon))
		}
	}
	if c.chance(looked) {
		p.getAt = now.Add(c.within(c.load.Soon + 2*time.Second))
	}
	p.task.ExecutionTime = due.Truncate(time.Microsecond).UTC()
	p.task.Payload = c.rig.Payload(behaviour, p.n)
	return p
}

// due is when the next task is due.
func (c *Clients) due(now time.Time) time.Time {
	end, horizon := c.start.Add(c.length), c.rig.Config.Horizon
	if c.load.Edge {
		return now.Add(horizon + c.within(4*time.Second))
	}
	switch roll := c.rng.IntN(100); {
	case roll < c.load.Stay:
		return end.Add(beyond + c.within(4*beyond))
	case c.load.Instant:
		return end.Add(3*time.Second + c.within(time.Second))
	case roll < c.load.Stay+10:
		return now.Add(-c.within(time.Minute)) // due at once
	case roll < c.load.Stay+20 && now.Add(3*horizon).Before(end):
		return now.Add(c.within(3 * horizon))
	default:
		return now.Add(c.within(c.load.Soon))
	}
}

func (c *Clients) chance(percent int) bool { return c.rng.IntN(100) < percent }

func (c *Clients) within(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d) + 1))
}
