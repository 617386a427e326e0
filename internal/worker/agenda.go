package worker

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// agenda is what this worker knows of what comes next: when each type is to be looked
// at, by this machine's clock. A type that it does not name is not known to be due.
type agenda struct {
	types map[string]entry
	// watching is whether this worker comes when the next type is due. Another one does
	// otherwise, and this one looks at what is due already.
	watching bool
	// askAt is when to ask Redis again, and settled is what to tell it then.
	askAt   time.Time
	settled []task.Entry
	// left are the types of which the last claim left some that are due, and full those
	// that are due and have no slot here. told are those of both that Redis knows of.
	left, full, told []string
}

// entry is one type of the agenda. mark is what Redis said with it, and retry is whether
// its claims fail.
type entry struct {
	at    time.Time
	mark  int64
	retry bool
}

// note takes in that a type is to be looked at after a wait, unless it is sooner.
func (a *agenda) note(e task.Entry, now time.Time) {
	at := now.Add(e.Wait)
	if known, ok := a.types[e.Type]; !ok || at.Before(known.at) {
		a.types[e.Type] = entry{at: at, mark: e.Mark}
	}
}

// answer takes in what Redis answered. Types that it does not name are not due. Those
// whose claims failed wait for their next try, and those that were settled for their
// time, also if a full Redis did not note it.
func (a *agenda) answer(answer task.Agenda, now time.Time, failing map[string]time.Time) {
	a.types = make(map[string]entry, len(answer.Entries))
	for _, e := range answer.Entries {
		known := entry{at: now.Add(e.Wait), mark: e.Mark}
		if again, fails := failing[e.Type]; fails && again.After(known.at) {
			known.at, known.retry = again, true
		}
		for _, s := range a.settled {
			if s.Type == e.Type && s.Mark == e.Mark && s.Wait > e.Wait {
				known.at = now.Add(s.Wait)
			}
		}
		a.types[e.Type] = known
	}
	a.watching, a.settled = answer.Watching, nil
}

// looked takes in what a look at a type found.
func (a *agenda) looked(c task.Claimed, now time.Time) {
	known := a.types[c.Type]
	switch {
	case c.Wait == 0:
		a.left = append(a.left, c.Type)
		return
	case len(c.IDs) == 0 && c.Wait > 0 && c.Wait < lastStretch: // the clocks differ by that
		a.types[c.Type] = entry{at: now.Add(c.Wait), mark: known.mark}
		return
	case c.Wait > 0:
		a.types[c.Type] = entry{at: now.Add(c.Wait), mark: known.mark}
	default:
		delete(a.types, c.Type)
	}
	a.settled = append(a.settled, task.Entry{Type: c.Type, Wait: c.Wait, Mark: known.mark})
}

// due are the types that are to be looked at now, the longest waiting first.
func (a *agenda) due(now time.Time) []string {
	due := slices.DeleteFunc(slices.Collect(maps.Keys(a.types)), func(name string) bool { return a.types[name].at.After(now) })
	slices.SortFunc(due, func(x, y string) int { return a.types[x].at.Compare(a.types[y].at) })
	return due
}

// news is whether Redis has to learn something of the last claim.
func (a *agenda) news() bool {
	return len(a.settled) > 0 || slices.ContainsFunc(a.forOthers(), func(name string) bool { return !slices.Contains(a.told, name) })
}

// forOthers are the types that other workers have to be woken for.
func (a *agenda) forOthers() []string {
	both := slices.Concat(a.left, a.full)
	slices.Sort(both)
	return slices.Compact(both)
}

// next is when the first type is to be looked at that is not due yet. Unless this worker
// watches, those are only the types whose claims fail.
func (a *agenda) next(now time.Time) (at time.Time, ok bool) {
	for _, e := range a.types {
		if (a.watching || e.retry) && e.at.After(now) && (!ok || e.at.Before(at)) {
			at, ok = e.at, true
		}
	}
	return at, ok
}

// inbox holds what was published for this worker until its loop takes it.
type inbox struct {
	mu      sync.Mutex
	entries []heard
	ask     bool
	arrived chan struct{} // holds a token while there is something
}

// heard is an entry, and when it was heard.
type heard struct {
	task.Entry
	at time.Time
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1)} }

// put takes what wheel.Wake calls with.
func (i *inbox) put(e task.Entry) {
	i.mu.Lock()
	if e.Type == "" {
		i.ask = true
	} else {
		i.entries = append(i.entries, heard{e, time.Now()})
	}
	i.mu.Unlock()
	i.poke()
}

// poke makes the loop look again at what it knows.
func (i *inbox) poke() {
	select {
	case i.arrived <- struct{}{}:
	default:
	}
}

// take empties the inbox into an agenda.
func (i *inbox) take(a *agenda) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, h := range i.entries {
		a.note(h.Entry, h.at)
	}
	if i.ask {
		a.askAt = time.Time{}
	}
	i.entries, i.ask = nil, false
}
