package worker

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// recheck is how often a worker asks what comes next that has nothing to do and does
	// not watch, more or less by chance. It bounds what the death of the one that
	// watches can cost.
	recheck = time.Second
	// watchRecheck is how often the worker asks that watches, within the term of
	// the watch. It bounds what a lost wake message can cost.
	watchRecheck = 200 * time.Millisecond
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLapse)
	defer cancel()
	left := c.agenda.forOthers()
	answer, err := c.index.Next(ctx, task.Ask{
		Worker: c.self, Group: c.cfg.group(), Types: c.cfg.Types, Load: c.slots.inUse(),
		Left: left, Settled: c.agenda.settled,
	})
	now := time.Now()
	if err != nil {
		c.metrics.claimsFailed.Inc()
		if now.After(c.logAgain) {
			c.log.Warn("claiming fails", "error", err)
			c.logAgain = now.Add(time.Minute)
		}
		// What was settled is looked at again.
		c.agenda.watching, c.agenda.settled, c.agenda.askAt = false, nil, now.Add(c.asks.NextBackOff())
		return
	}
	c.asks.Reset()
	maps.DeleteFunc(c.failing, func(_ string, again time.Time) bool { return now.After(again) })
	c.agenda.answer(answer, now, c.failing)
	c.agenda.told = left
	if answer.Watching {
		c.agenda.askAt = now.Add(watchRecheck)
	} else {
		c.agenda.askAt = now.Add(recheck/2 + rand.N(recheck))
	}
}

// askOrSleep asks what comes next if it is time for that, and waits otherwise: until the
// next type falls due, it is time to ask, a message comes, or a slot is free for what is
// due. The last stretch before something falls due is slept exactly, and nothing ends it.
func (c *claimer) askOrSleep(ctx context.Context) {
	now := time.Now()
	until := c.agenda.askAt
	if !until.After(now) {
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
	if !sleep(ctx, until.Sub(now), c.inbox.arrived, freed, c.types.Changed()) {
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
