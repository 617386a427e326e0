package worker

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
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

// claimer claims what is due for one worker. It is one loop: it looks at all types that
// are due in one round trip, asks Redis what comes next when it has emptied one, and
// sleeps until that.
type claimer struct {
	*Worker
	agenda agenda
	inbox  *inbox
	// failing is when to try a type again whose claims fail, and pauses how long after
	// each failure. asks are the pauses between failed asks.
	failing map[string]time.Time
	pauses  map[string]*backoff.ExponentialBackOff
	asks    *backoff.ExponentialBackOff
	// logAgain is when a failure that lasts is logged again.
	logAgain time.Time
	// counting are the types whose tasks are counted when they start, and of which a start
	// is under way. There is one at a time: it may wait for other workers.
	counting counting
}

func newPauses() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
}

// claimLoop claims until ctx ends.
func (w *Worker) claimLoop(ctx context.Context) {
	c := &claimer{
		Worker: w, agenda: agenda{types: map[string]entry{}}, inbox: newInbox(),
		failing: map[string]time.Time{}, pauses: map[string]*backoff.ExponentialBackOff{}, asks: newPauses(),
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		w.index.Wake(ctx, w.self, w.cfg.group(), c.inbox.put, func() {
			// Postgres may be silent, and other messages do not wait for it.
			go func() { _ = w.types.Refresh(ctx) }() // or it is known a moment later
		})
	}()
	defer func() {
		<-listening
		w.handOverWatch()
	}()
	for ctx.Err() == nil {
		c.inbox.take(&c.agenda)
		if !c.claimDue(ctx) {
			c.askOrSleep(ctx)
		}
	}
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

// claimDue claims of all types that are due and have a slot, and is false if there is
// none. It needs a session whose lease is live, and a lane for the start of those that are
// not counted: all of them start together.
func (c *claimer) claimDue(ctx context.Context) bool {
	due := c.served(c.agenda.due(time.Now()))
	c.agenda.full = nil
	if len(due) == 0 {
		return false
	}
	lane := slices.ContainsFunc(due, func(name string) bool { return !c.counted(name) })
	if lane {
		select {
		case c.lanes <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	s := c.session.live(ctx)
	wants := c.wants(lane)
	if s == nil || len(wants) == 0 {
		if lane {
			<-c.lanes
		}
		c.giveBack(wants)
		if s != nil && c.agenda.news() {
			c.ask(ctx)
		}
		return false
	}
	claims := c.claim(ctx, wants)
	c.agenda.left = nil
	together := claims[:0:0]
	for i := range claims {
		c.slots.give(claims[i].Type, wants[i].Limit-len(claims[i].IDs))
		c.note(claims[i])
		switch {
		case len(claims[i].IDs) == 0:
		case wants[i].MaxRunning > 0:
			c.startCountedLater(ctx, s, claims[i])
		default:
			together = append(together, claims[i])
		}
	}
	switch {
	case len(together) > 0:
		c.tasks.Go(func() { c.start(ctx, s, together) })
	case lane:
		<-c.lanes
	}
	if c.agenda.news() {
		c.ask(ctx)
	}
	return true
}

// served picks the types that this worker has a handler for, that are not paused, and of
// which no counted start is under way. The start looks at that again: this saves the work.
func (c *claimer) served(types []string) []string {
	return slices.DeleteFunc(types, func(name string) bool {
		t, declared := c.types.Type(name)
		_, known := c.lookup(name)
		return !declared || t.Paused || !known || t.MaxRunning != nil && c.counting.underWay(name)
	})
}

// counted is whether the starts of a type are counted.
func (c *claimer) counted(name string) bool {
	t, _ := c.types.Type(name)
	return t.MaxRunning != nil
}

// wants takes slots for the types that are due. Those that are not counted need a lane.
func (c *claimer) wants(lane bool) (wants []task.Want) {
	due := c.served(c.agenda.due(time.Now()))
	share := max(1, maxClaim/max(1, len(due)))
	for _, name := range due {
		want := limitsOf(c.types, name)
		if want.MaxRunning == 0 && !lane {
			continue
		}
		if n := c.slots.take(name, share); n > 0 {
			want.Limit = n
			wants = append(wants, want)
		} else {
			c.agenda.full = append(c.agenda.full, name)
		}
		if len(wants) == maxClaim {
			break
		}
	}
	return wants
}

// limitsOf are the limits of a type, for a claim.
func limitsOf(types Types, name string) task.Want {
	want := task.Want{Type: name}
	t, _ := types.Type(name)
	if t.MaxRunning != nil {
		want.MaxRunning = *t.MaxRunning
	}
	if t.Rate != nil {
		want.Interval, want.Burst = time.Duration(float64(time.Second)/t.Rate.PerSecond), t.Rate.Burst
	}
	return want
}

func (c *claimer) giveBack(wants []task.Want) {
	for _, want := range wants {
		c.slots.give(want.Type, want.Limit)
	}
}

// claim does not end with ctx: a claim whose reply is thrown away would strand
// its tasks until it lapses.
func (c *claimer) claim(ctx context.Context, wants []task.Want) []task.Claimed {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLapse)
	defer cancel()
	return c.index.Claim(ctx, wants, claimLapse)
}

// note takes in what a claim of one type found.
func (c *claimer) note(claimed task.Claimed) {
	now := time.Now()
	if claimed.Err == nil {
		delete(c.failing, claimed.Type)
		delete(c.pauses, claimed.Type)
		c.agenda.looked(claimed, now)
		return
	}
	c.metrics.claimsFailed.Inc()
	if now.After(c.logAgain) {
		c.log.Warn("claiming fails", "task_type", claimed.Type, "error", claimed.Err)
		c.logAgain = now.Add(time.Minute)
	}
	if c.pauses[claimed.Type] == nil {
		c.pauses[claimed.Type] = newPauses()
	}
	again := now.Add(c.pauses[claimed.Type].NextBackOff())
	c.failing[claimed.Type] = again
	c.agenda.types[claimed.Type] = entry{at: again, mark: c.agenda.types[claimed.Type].mark, retry: true}
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
