package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/client"
)

const (
	// maxTries bounds how often one create is sent.
	maxTries = 8
	// maxPause bounds how long a Retry-After is heeded.
	maxPause = 10 * time.Second
)

// plan is a task that is about to be submitted.
type plan struct {
	taskType string
	at       time.Time
	payload  json.RawMessage
	key      string
}

// planTasks spreads the tasks over the window and the types. Times are in
// whole microseconds, which the scheduler keeps exactly.
func planTasks(o options, run string, now time.Time, random *rand.Rand) []plan {
	now = now.UTC().Truncate(time.Microsecond)
	window := (o.to - o.from).Microseconds()
	plans := make([]plan, o.tasks)
	for i := range plans {
		offset := o.from + time.Duration(random.Int64N(window+1))*time.Microsecond
		plans[i] = plan{
			taskType: o.types[i%len(o.types)],
			at:       now.Add(offset).Truncate(time.Microsecond),
			payload:  o.payload,
			key:      fmt.Sprintf("load-%s-%d", run, i),
		}
	}
	return plans
}

// submission is what became of one plan.
type submission struct {
	plan
	// id is the task's, or zero if no try was acknowledged.
	id uuid.UUID
	// latency is from the first try to the acknowledgement.
	latency time.Duration
	// refused says why there is no acknowledgement, in a few words that many
	// submissions share.
	refused string
	// unknown: one of the tries may have created a task all the same.
	unknown bool
}

// submit creates the planned tasks with so many clients at once, and returns
// those it came to before ctx ended, in the order of the plans.
func submit(ctx context.Context, a *client.Client, plans []plan, clients int, bar *progress) []submission {
	out := make([]submission, len(plans))
	var next, ended atomic.Int64
	var group sync.WaitGroup
	for range min(clients, len(plans)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(plans) {
					return
				}
				out[i] = submitOne(ctx, a, plans[i])
				bar.set(int(ended.Add(1)))
			}
		})
	}
	group.Wait()
	bar.finish()
	return out[:min(int(ended.Load()), len(plans))]
}

// submitOne sends one create until it has a definite answer or the bound is
// reached. Every try carries the same key, so that together they make one
// task.
func submitOne(ctx context.Context, a *client.Client, p plan) submission {
	s := submission{plan: p}
	began := time.Now()
	for try := 1; ; try++ {
		id, err := a.Create(ctx, client.NewTask{Type: p.taskType, ExecutionTime: p.at, Payload: p.payload, Key: p.key})
		if err == nil {
			return submission{plan: p, id: id, latency: time.Since(began)}
		}
		pause, no := time.Second, problemIn(err)
		if no != nil {
			s.refused = fmt.Sprintf("answered %d %s", no.Status, no.Code)
			s.unknown = s.unknown || no.Unknown()
			if no.RetryAfter >= 0 {
				pause = min(no.RetryAfter, maxPause)
			}
		} else {
			s.refused, s.unknown = "no answer", true
		}
		if try == maxTries || no != nil && !no.Temporary() {
			return s
		}
		select {
		case <-ctx.Done():
			return s
		case <-time.After(pause):
		}
	}
}
