package users

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/chaos/internal/rig"
	"github.com/timewheel/timewheel/test/judge"
)

const (
	// walkPace is how long after a walk over the list the next one begins.
	walkPace = time.Second
	// pageSize and maxPages bound a walk to the newest tasks: those that end now.
	pageSize, maxPages = 100, 10
	// firstLook and lastLook are the pauses between two looks at a watched task, the first
	// and the longest.
	firstLook, lastLook = 20 * time.Millisecond, time.Second
)

// watch looks at a task again and again around its end: it must be seen in each moment, in
// one place or in the other. Where tasks are kept for a short time it is watched until it is
// gone.
func (c *Clients) watch(ctx context.Context, id uuid.UUID, n int64, from time.Time) {
	c.acts.Go(func() {
		if !rig.Pause(ctx, time.Until(from)) {
			return
		}
		for pause := firstLook; ; pause = min(pause*5/4, lastLook) {
			call := judge.Call{Op: "get", N: n, Task: id, Invoked: time.Now()}
			c.get(context.WithoutCancel(ctx), &call)
			c.rig.Record.Write(history.CallsFile, call)
			ended := client.Task{Status: call.Status}
			over := c.rig.Config.Retention == 0 && call.Outcome == judge.OK && ended.Ended()
			if over || call.Why == "not_found" || !rig.Pause(ctx, pause) {
				return
			}
		}
	})
}

// walk reads the newest tasks in pages, over and over, until ctx ends.
func (c *Clients) walk(ctx context.Context) {
	for rig.Pause(ctx, walkPace) {
		// One API for all pages, as a user has one.
		api, cursor, before := c.apis[rand.IntN(len(c.apis))], "", uuid.Nil
		for range maxPages {
			call := judge.Call{Op: "list", Invoked: time.Now()}
			page, err := api.List(context.WithoutCancel(ctx), client.Filter{Limit: pageSize, Cursor: cursor})
			call.Answer(err)
			c.rig.Record.Write(history.CallsFile, call)
			if err != nil {
				break
			}
			seen := history.Page{Invoked: call.Invoked, Returned: call.Returned, Before: before}
			for i := range page.Tasks {
				seen.Tasks = append(seen.Tasks, history.Listed{Task: page.Tasks[i].ID, Status: page.Tasks[i].Status})
			}
			if cursor = page.NextCursor; cursor != "" {
				before = page.Tasks[len(page.Tasks)-1].ID
				seen.After = before
			}
			c.rig.Record.Write(history.PagesFile, seen)
			if cursor == "" {
				break
			}
		}
	}
}
