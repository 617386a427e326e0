package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// watchRecheck is how often the worker asks what comes next that watches, within the
	// term of the watch. It bounds what a lost wake message can cost.
	watchRecheck = 500 * time.Millisecond
	// standbyRecheck is how often the one asks that stands by, more or less by chance. It
	// bounds what the death of the one that watches can cost; and recheck, how often all the
	// others ask, what the death of both can.
	standbyRecheck, recheck = 700 * time.Millisecond, 2 * time.Second
	// lastStretch is more than a timer of the runtime can be late.
	lastStretch = 1500 * time.Microsecond
	// firstPause and maxPause bound the pauses while Redis does not serve.
	firstPause, maxPause = 20 * time.Millisecond, time.Second
)

func newPauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
}

// ask tells Redis what was looked at and asks it what comes next.
func (c *claimer) ask(ctx context.Context) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLapse)
	defer cancel()
	left := c.agenda.forOthers()
	answer, err := c.index.Next(bounded, task.Ask{
		Worker: c.self, Group: c.cfg.group(), Types: c.cfg.Types, Load: c.slots.inUse(),
		Left: left, Settled: c.agenda.settled,
	})
	if err != nil {
		c.failed(ctx, err, true)
		c.agenda.lost(c.declared(), time.Now())
		return
	}
	now := time.Now()
	c.agenda.answer(answer, now)
	c.agenda.told = left
	switch {
	case answer.Watching:
		c.agenda.askAt = now.Add(watchRecheck)
	case answer.StandingBy:
		c.agenda.askAt = now.Add(standbyRecheck/2 + rand.N(standbyRecheck))
	default:
		c.agenda.askAt = now.Add(recheck/2 + rand.N(recheck))
	}
}

// askOrSleep asks what comes next if it is time for that, and waits otherwise: until the
// next type falls due, it is time to ask, a message comes, or a slot is free for what is
// due. The last stretch before something falls due is slept exactly, and nothing ends it.
// What was due was looked at now: what has fallen due since then ends the wait at once.
func (c *claimer) askOrSleep(ctx context.Context, now time.Time) {
	until := c.agenda.askAt
	switch {
	case c.outage.ofAgenda():
		until = now.Add(maxPause) // or when it answers
	case !until.After(now):
		c.ask(ctx)
		return
	}
	var freed <-chan struct{}
	if len(c.agenda.full) > 0 {
		freed = c.slots.freed
	}
	due, ok := c.agenda.next(now)
	exact := ok && due.Before(until)
	if exact {
		until = due.Add(-lastStretch)
	}
	if !sleep(ctx, time.Until(until), c.inbox.arrived, freed, c.types.Changed()) {
		return
	}
	if exact {
		sleepExactly(due)
	}
}

// sleep waits for d, and is false if a signal or the end of ctx came before.
func sleep(ctx context.Context, d time.Duration, signals ...<-chan struct{}) bool {
	var all [3]<-chan struct{}
	copy(all[:], signals)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-all[0]:
	case <-all[1]:
	case <-all[2]:
	case <-ctx.Done():
	}
	return false
}

// handOverWatch hands the watch over, if this worker has it: others wait for what comes
// next from now on.
func (w *Worker) handOverWatch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.index.Leave(ctx, w.self, w.cfg.group()); err != nil {
		w.log.Debug("the watch was not handed over and lapses", "error", err)
	}
}
