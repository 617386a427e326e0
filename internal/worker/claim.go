package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// claimer claims what is due for one worker. It is one loop: it looks at all types that
// are due in one round trip, asks Redis what comes next when it has emptied one, and
// sleeps until that.
type claimer struct {
	*Worker
	agenda agenda
	inbox  *inbox
	// outage is what Redis does not serve, and tries what tries it again.
	outage outage
	tries  sync.WaitGroup
	// counting are the types whose tasks are counted when they start, and of which a start
	// is under way. There is one at a time: it may wait for other workers.
	counting counting
}

// claimLoop claims until ctx ends.
func (w *Worker) claimLoop(ctx context.Context) {
	c := &claimer{
		Worker: w, agenda: agenda{types: map[string]entry{}}, inbox: newInbox(),
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		w.index.Wake(ctx, w.self, w.cfg.group(), c.inbox.put, func() {
			// Postgres may be silent, and other messages do not wait for it.
			go func() { _ = w.types.Refresh(ctx) }() // or it is known a moment later
		}, w.cancelRequested)
	}()
	defer func() {
		<-listening
		c.tries.Wait()
		w.handOverWatch()
	}()
	for ctx.Err() == nil {
		c.inbox.take(&c.agenda)
		now := time.Now()
		if !c.claimDue(ctx, now) {
			c.askOrSleep(ctx, now)
		}
	}
}

// claimDue claims of all types that are due by now and have a slot, and is false if there is
// none. It needs a session whose lease is live, and a lane for the start of those that are
// not counted: all of them start together.
func (c *claimer) claimDue(ctx context.Context, now time.Time) bool {
	due := c.served(c.agenda.due(now))
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
	wants := c.wants(now, lane)
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
		c.note(ctx, claims[i])
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

// served picks the types that this worker has a handler for, that are not paused, whose
// rings Redis serves, and of which no counted start is under way. The start looks at that again: this saves the work.
func (c *claimer) served(types []string) []string {
	return slices.DeleteFunc(types, func(name string) bool {
		t, declared := c.types.Type(name)
		_, known := c.lookup(name)
		return !declared || t.Paused || !known || c.outage.ofType(name) || t.MaxRunning != nil && c.counting.underWay(name)
	})
}

// counted is whether the starts of a type are counted.
func (c *claimer) counted(name string) bool {
	t, _ := c.types.Type(name)
	return t.MaxRunning != nil
}

// wants takes slots for the types that are due. Those that are not counted need a lane.
func (c *claimer) wants(now time.Time, lane bool) (wants []task.Want) {
	due := c.served(c.agenda.due(now))
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
func (c *claimer) note(ctx context.Context, claimed task.Claimed) {
	if claimed.Err != nil {
		c.failed(ctx, claimed.Err, false, claimed.Type)
		return
	}
	c.agenda.looked(claimed, time.Now())
}
