package main

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
)

// lastLookTimeout bounds the look that is taken after Ctrl-C.
const lastLookTimeout = 30 * time.Second

// ending is why following came to its end.
type ending string

const (
	settled     ending = "every task that was due has ended"
	stalled     ending = "nothing changed any more"
	interrupted ending = "it was interrupted"
)

// followed is what was seen of the acknowledged tasks.
type followed struct {
	// records holds the last that was read of each task.
	records map[uuid.UUID]record
	// missing are tasks that the API answers 404 for.
	missing []uuid.UUID
	// until: tasks due by then were followed, later ones only looked at.
	until time.Time
	// looked is when the last look began.
	looked time.Time
	ending ending
	// err says that the last look failed: the records may be out of date.
	err error
}

// follower reads the list page by page, newest first, as far back as the
// oldest of its tasks that has not ended. One look costs a request for every
// thousand tasks, whatever the number that is still open.
type follower struct {
	api    *client.Client
	open   map[string]map[uuid.UUID]time.Time // by type: when each is due
	absent map[uuid.UUID]bool                 // open, and not on the pages of the last look
	seen   followed
}

// follow looks at the tasks at most once a poll until all that fall due within
// the wait have ended, until nothing has changed for the stall, or until ctx
// ends.
func follow(
	ctx context.Context, a *client.Client, submissions []submission, o options, log *slog.Logger, newBar func(int) *progress,
) followed {
	f := &follower{api: a, open: map[string]map[uuid.UUID]time.Time{}, absent: map[uuid.UUID]bool{}}
	f.seen.records = make(map[uuid.UUID]record, len(submissions))
	f.seen.until = time.Now().Add(o.wait)
	total := 0
	for _, s := range submissions {
		if s.id == uuid.Nil {
			continue
		}
		if f.open[s.taskType] == nil {
			f.open[s.taskType] = map[uuid.UUID]time.Time{}
		}
		f.open[s.taskType][s.id] = s.at
		if !s.at.After(f.seen.until) {
			total++
		}
	}
	bar := newBar(total)
	defer bar.finish()

	for changed := time.Now(); f.seen.ending == ""; {
		began := time.Now()
		news, err := f.look(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("tasks could not be looked at", "error", err)
		}
		now := time.Now()
		due, ahead, next := f.waiting(now)
		bar.set(total - due - ahead)
		if news > 0 || due == 0 {
			changed = now
		}
		pause := max(o.poll, 4*now.Sub(began))
		switch {
		case ctx.Err() != nil:
			f.seen.ending = interrupted
		case err == nil && due+ahead == 0:
			f.seen.ending = settled
		case now.Sub(changed) > o.stall:
			f.seen.ending = stalled
		case due == 0:
			pause = max(pause, next.Sub(now))
			fallthrough
		default:
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
	return f.settle(ctx)
}

// settle takes the last look and asks once more for each task that the list
// does not show.
func (f *follower) settle(ctx context.Context) followed {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLookTimeout)
	defer cancel()
	if _, f.seen.err = f.look(ctx); f.seen.err != nil {
		return f.seen
	}
	for id := range f.absent {
		found, err := f.api.Get(ctx, id)
		switch no := problemIn(err); {
		case no != nil && no.Status == http.StatusNotFound:
			f.seen.missing = append(f.seen.missing, id)
		case err != nil:
			f.seen.err = err
			return f.seen
		default:
			f.seen.records[id] = *found
		}
	}
	return f.seen
}

// look reads the open tasks once, and counts those whose record has changed.
func (f *follower) look(ctx context.Context) (changed int, err error) {
	f.seen.looked = time.Now()
	clear(f.absent)
	for taskType, open := range f.open {
		if len(open) == 0 {
			continue
		}
		for id := range open {
			f.absent[id] = true
		}
		oldest := slices.MinFunc(slices.Collect(maps.Keys(open)), compare)
		for cursor, more := "", true; more; {
			page, err := f.api.List(ctx, client.Filter{Type: taskType, Limit: pageSize, Cursor: cursor})
			if err != nil {
				return changed, err
			}
			for _, r := range page.Tasks {
				changed += f.take(r, open)
			}
			cursor = page.NextCursor
			more = cursor != "" && len(page.Tasks) > 0 && compare(page.Tasks[len(page.Tasks)-1].ID, oldest) > 0
		}
	}
	return changed, nil
}

// take keeps the record if its task is an open one, and returns 1 if it says
// something new.
func (f *follower) take(r record, open map[uuid.UUID]time.Time) int {
	if _, mine := open[r.ID]; !mine {
		return 0
	}
	delete(f.absent, r.ID)
	before, known := f.seen.records[r.ID]
	r.Payload, r.Result = nil, nil // there may be very many
	f.seen.records[r.ID] = r
	if r.Ended() {
		delete(open, r.ID)
	}
	if known && before.Status == r.Status && before.Attempt == r.Attempt {
		return 0
	}
	return 1
}

// waiting counts the open tasks that are followed: those that are due now, and
// those still ahead, of which next is the earliest.
func (f *follower) waiting(now time.Time) (due, ahead int, next time.Time) {
	for _, open := range f.open {
		for _, at := range open {
			switch {
			case at.After(f.seen.until):
			case !at.After(now):
				due++
			default:
				ahead++
				if next.IsZero() || at.Before(next) {
					next = at
				}
			}
		}
	}
	return due, ahead, next
}

// compare orders ids as the list does: by their bytes, which for version 7 is
// by creation.
func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
