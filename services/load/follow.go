package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/judge"
)

const (
	// pageSize is the most tasks that one page of the list may hold.
	pageSize = 1000
	// lastLookTimeout bounds the look that is taken after Ctrl-C.
	lastLookTimeout = 30 * time.Second
)

// ending is why following came to its end.
type ending string

const (
	settled     ending = "every task that was due has ended"
	stalled     ending = "nothing changed any more"
	interrupted ending = "it was interrupted"
)

// followed is what was seen of the acknowledged tasks.
type followed struct {
	// seen holds the last that was read of each task. What is not in it after the last
	// look does not exist.
	seen map[uuid.UUID]client.Task
	// until: tasks due by then were followed, later ones only looked at.
	until time.Time
	// looked is when the last look began.
	looked time.Time
	ending ending
	// err says that the last look failed: what was seen may be out of date.
	err error
}

// follower reads the list page by page, newest first, as far back as the oldest of its
// tasks. One look costs a request for every thousand tasks.
type follower struct {
	followed
	api    *client.Client
	due    map[uuid.UUID]time.Time
	oldest uuid.UUID
}

// follow looks at the tasks at most once a poll until all that fall due within
// the wait have ended, until nothing has changed for the stall, or until ctx
// ends.
func follow(ctx context.Context, api *client.Client, calls []judge.Call, o options, stderr io.Writer) followed {
	f := &follower{api: api, due: map[uuid.UUID]time.Time{}, oldest: uuid.Max}
	f.seen, f.until = map[uuid.UUID]client.Task{}, time.Now().Add(o.wait)
	total := 0
	for _, c := range calls {
		if c.Outcome != judge.OK {
			continue
		}
		f.due[c.Task] = c.Due
		if compare(c.Task, f.oldest) < 0 {
			f.oldest = c.Task
		}
		if !c.Due.After(f.until) {
			total++
		}
	}
	bar := newBar(stderr, "follow", total)
	for changed := time.Now(); f.ending == ""; {
		began := time.Now()
		news, err := f.look(ctx)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(stderr, "load: tasks could not be looked at:", err)
		}
		now := time.Now()
		overdue, ahead := f.waiting(now)
		_ = bar.Set(total - overdue - ahead)
		if news || overdue == 0 {
			changed = now
		}
		switch {
		case ctx.Err() != nil:
			f.ending = interrupted
		case err == nil && overdue+ahead == 0:
			f.ending = settled
		case now.Sub(changed) > o.stall:
			f.ending = stalled
		default:
			select {
			case <-ctx.Done():
			case <-time.After(max(o.poll, 4*now.Sub(began))):
			}
		}
	}
	f.err = f.lastLook(ctx)
	return f.followed
}

// look reads the tasks once, and reports whether any of them has changed.
func (f *follower) look(ctx context.Context) (news bool, err error) {
	f.looked = time.Now()
	seen := make(map[uuid.UUID]client.Task, len(f.due))
	for cursor, more := "", len(f.due) > 0; more; {
		page, err := f.api.List(ctx, client.Filter{Limit: pageSize, Cursor: cursor})
		if err != nil {
			return false, err
		}
		for _, t := range page.Tasks {
			if _, mine := f.due[t.ID]; mine {
				t.Payload, t.Result = nil, nil // there may be very many
				news = news || f.seen[t.ID].Status != t.Status || f.seen[t.ID].Attempt != t.Attempt
				seen[t.ID] = t
			}
			more = compare(t.ID, f.oldest) > 0
		}
		cursor = page.NextCursor
		more = more && cursor != ""
	}
	f.seen = seen
	return news, nil
}

// lastLook also asks once more for each task that the list does not show.
func (f *follower) lastLook(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLookTimeout)
	defer cancel()
	if _, err := f.look(ctx); err != nil {
		return err
	}
	for id := range f.due {
		if _, known := f.seen[id]; known {
			continue
		}
		found, err := f.api.Get(ctx, id)
		if p, answered := errors.AsType[*client.Problem](err); answered && p.Status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return err
		}
		f.seen[id] = *found
	}
	return nil
}

// waiting counts the tasks that are followed and have not ended: those that are due now,
// and those still ahead.
func (f *follower) waiting(now time.Time) (overdue, ahead int) {
	for id, at := range f.due {
		t, known := f.seen[id]
		switch {
		case at.After(f.until) || known && t.Ended():
		case !at.After(now):
			overdue++
		default:
			ahead++
		}
	}
	return overdue, ahead
}

// compare orders ids as the list does: by their bytes, which for version 7 is
// by creation.
func compare(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }
