package worker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// leastPace is how often a worker looks at each ring by itself while nobody says what
	// comes next, and pacePerType is what a type adds to that: the cost is bounded.
	leastPace, pacePerType = 10 * time.Millisecond, time.Millisecond
	// tryTimeout bounds one try of what did not answer.
	tryTimeout = time.Second
)

// outage is what Redis does not serve: the agenda, or the rings of types. The servers of a
// cluster fail one by one, so it is tried again beside the loop, which goes on with the rest.
type outage struct {
	mu       sync.Mutex
	agenda   bool
	types    map[string]bool
	trying   bool
	logAgain time.Time // when a failure that lasts is logged again
}

// add notes what failed, and reports whether nobody tries again yet.
func (o *outage) add(agenda bool, types ...string) (begin bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.agenda = o.agenda || agenda
	for _, name := range types {
		if o.types == nil {
			o.types = map[string]bool{}
		}
		o.types[name] = true
	}
	begin = !o.trying
	o.trying = true
	return begin
}

// ofType is whether the ring of a type is not served.
func (o *outage) ofType(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.types[name]
}

// ofAgenda is whether nobody says what comes next.
func (o *outage) ofAgenda() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.agenda
}

// open is what is to be tried again. With nothing, the outage is over.
func (o *outage) open() (agenda bool, types []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trying = o.agenda || len(o.types) > 0
	return o.agenda, slices.Collect(maps.Keys(o.types))
}

func (o *outage) agendaServes() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.agenda = false
}

func (o *outage) typeServes(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.types, name)
}

// failed counts and logs what Redis did not serve, and sees to it that it is tried again.
func (c *claimer) failed(ctx context.Context, err error, agenda bool, types ...string) {
	c.metrics.claimsFailed.Inc()
	c.outage.mu.Lock()
	now := time.Now()
	log := now.After(c.outage.logAgain)
	if log {
		c.outage.logAgain = now.Add(time.Minute)
	}
	c.outage.mu.Unlock()
	if log {
		c.log.Warn("claiming fails", "task_types", types, "error", err)
	}
	if c.outage.add(agenda, types...) {
		c.tries.Go(func() { c.tryAgain(ctx) })
	}
}

// tryAgain tries what is not served, with pauses, until all of it is, or ctx ends.
func (c *claimer) tryAgain(ctx context.Context) {
	for pauses := newPauses(); sleep(ctx, pauses.NextBackOff()); {
		agenda, types := c.outage.open()
		if !agenda && len(types) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		if agenda {
			c.tryAgenda(ctx)
		}
		if len(types) > 0 {
			c.tryTypes(ctx, types)
		}
		cancel()
	}
}

// tryAgenda only finds out whether there is an answer: what it would be is asked by the
// loop, which knows what it has seen of the rings meanwhile.
func (c *claimer) tryAgenda(ctx context.Context) {
	_, err := c.index.Next(ctx, task.Ask{Worker: c.self, Group: c.cfg.group(), Types: c.cfg.Types, Load: c.slots.inUse()})
	if err != nil {
		c.metrics.claimsFailed.Inc()
		return
	}
	c.outage.agendaServes()
	c.inbox.put(task.Entry{})
}

// tryTypes claims nothing of the types that failed.
func (c *claimer) tryTypes(ctx context.Context, types []string) {
	wants := make([]task.Want, len(types))
	for i, name := range types {
		wants[i].Type = name
	}
	for _, claimed := range c.index.Claim(ctx, wants, claimLapse) {
		if claimed.Err != nil {
			c.metrics.claimsFailed.Inc()
			continue
		}
		c.outage.typeServes(claimed.Type)
		c.inbox.put(task.Entry{Type: claimed.Type})
	}
}
