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
	// pace is how often this worker looks at each type by itself, since Redis does not say
	// what comes next. It is zero otherwise.
	pace time.Duration
	// askAt is when to ask Redis again, and settled is what to tell it then.
	askAt   time.Time
	settled []task.Entry
	// left are the types of which the last claim left some that are due, and full those
	// that are due and have no slot here. told are those of both that Redis knows of.
	left, full, told []string
}

// entry is one type of the agenda. mark is what Redis said with it.
type entry struct {
	at   time.Time
	mark int64
}

// note takes in that a type is to be looked at after a wait, unless it is sooner.
func (a *agenda) note(e task.Entry, now time.Time) {
	at := now.Add(e.Wait)
	if known, ok := a.types[e.Type]; !ok || at.Before(known.at) {
		a.types[e.Type] = entry{at: at, mark: e.Mark}
	}
}

// answer takes in what Redis answered. Types that it does not name are not due. Those that
// were settled wait for their time, also if a full Redis did not note it. What is not due yet
// is for the one that watches: another would come to it late, and in vain.
func (a *agenda) answer(answer task.Agenda, now time.Time) {
	a.types = make(map[string]entry, len(answer.Entries))
	for _, e := range answer.Entries {
		known := entry{at: now.Add(e.Wait), mark: e.Mark}
		for _, s := range a.settled {
			if s.Type == e.Type && s.Mark == e.Mark && s.Wait > e.Wait {
				known.at = now.Add(s.Wait)
			}
		}
		if answer.Watching || !known.at.After(now) {
			a.types[e.Type] = known
		}
	}
	a.watching, a.settled, a.pace = answer.Watching, nil, 0
}

// lost takes in that Redis does not say what comes next: these types are looked at one by
// one, at a pace. When Redis answers again it is told to have all of them looked at: it may
// have missed what was marked meanwhile.
func (a *agenda) lost(types []string, now time.Time) {
	a.watching, a.settled, a.pace = false, nil, max(leastPace, time.Duration(len(types))*pacePerType)
	for _, name := range types {
		known := a.types[name]
		if _, ok := a.types[name]; !ok || known.at.After(now) {
			a.types[name] = entry{at: now, mark: known.mark}
		}
		a.settled = append(a.settled, task.Entry{Type: name, Mark: known.mark})
	}
}

// looked takes in what a look at a type found.
func (a *agenda) looked(c task.Claimed, now time.Time) {
	known := a.types[c.Type]
	switch {
	case c.Wait == 0:
		a.left = append(a.left, c.Type)
		return
	case a.pace > 0:
		wait := a.pace
		if c.Wait > 0 {
			wait = min(wait, c.Wait)
		}
		a.types[c.Type] = entry{at: now.Add(wait), mark: known.mark}
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

// news is whether Redis has to learn something of the last claim, and can.
func (a *agenda) news() bool {
	return a.pace == 0 && (len(a.settled) > 0 || slices.ContainsFunc(a.forOthers(), func(name string) bool { return !slices.Contains(a.told, name) }))
}

// forOthers are the types that other workers have to be woken for.
func (a *agenda) forOthers() []string {
	both := slices.Concat(a.left, a.full)
	slices.Sort(both)
	return slices.Compact(both)
}

// next is when the first type is to be looked at that is not due yet, if that is for this
// worker to do: it watches, or each does.
func (a *agenda) next(now time.Time) (at time.Time, ok bool) {
	if !a.watching && a.pace == 0 {
		return at, false
	}
	for _, e := range a.types {
		if e.at.After(now) && (!ok || e.at.Before(at)) {
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
