package wheel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// Claim takes of each type at most the tasks that are wanted and due by Redis' clock (T1),
// soonest first. They are the caller's for the time of lapse; then they are handed out
// again unless they were released. All types are claimed in one round trip, and each has
// its own answer, in order.
func (w *Wheel) Claim(ctx context.Context, wants []task.Want, lapse time.Duration) []task.Claimed {
	calls := make([]*call, len(wants))
	for i, want := range wants {
		calls[i] = &call{
			script: claimScript, keys: append(w.names.ring(want.Type).keys(), w.names.ring(want.Type).limits),
			args: []any{
				min(want.Limit, page), lapse.Microseconds(), want.MaxRunning,
				float64(want.Interval.Nanoseconds()) / 1000, max(1, want.Burst),
			},
		}
	}
	_ = w.run(ctx, calls...) // each reply has its error
	out := make([]task.Claimed, len(wants))
	for i, want := range wants {
		reply, err := calls[i].reply.Slice()
		if err == nil {
			var revived int64
			out[i], revived, err = parseClaim(reply)
			w.revived.Add(revived)
		}
		out[i].Type = want.Type
		if err != nil {
			out[i].Err = fmt.Errorf("claim due tasks: %w", err)
		}
	}
	return out
}

func parseClaim(reply []any) (c task.Claimed, revived int64, err error) {
	if len(reply) < 2 {
		return c, 0, errors.New("the reply is too short")
	}
	wait, ok := reply[0].(int64)
	revived, ok2 := reply[1].(int64)
	if !ok || !ok2 {
		return c, 0, fmt.Errorf("the reply begins with %T, %T", reply[0], reply[1])
	}
	c.Wait = microseconds(wait)
	for _, member := range reply[2:] {
		text, _ := member.(string)
		// What is no id was put there by hand. It stays claimed until it lapses, and the
		// next scan of the index drops it.
		if id, ok := parseID(text); ok {
			c.IDs = append(c.IDs, id)
		}
	}
	return c, revived, nil
}

// Revived is how many lapsed claims the claims of this node made due again since it was
// asked last.
func (w *Wheel) Revived() int { return int(w.revived.Swap(0)) }

// microseconds is a wait that a script returned. A score that was put there by hand may
// be further ahead than a wait can be.
func microseconds(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(max(-most, min(n, most))) * time.Microsecond
}

// AddRoom says how many places of types became free. Where something waits for them, a
// worker is woken.
func (w *Wheel) AddRoom(ctx context.Context, places map[string]int) error {
	return w.room(ctx, "add", places)
}

// RaiseRoom says how many tasks more of types may run at least. Where something waits for
// that, a worker is woken.
func (w *Wheel) RaiseRoom(ctx context.Context, rooms map[string]int) error {
	return w.room(ctx, "least", rooms)
}

func (w *Wheel) room(ctx context.Context, mode string, rooms map[string]int) error {
	var calls []*call
	var names []string
	for name, n := range rooms {
		r := w.names.ring(name)
		calls = append(calls, &call{script: roomScript, keys: []string{r.due, r.limits}, args: []any{mode, n}})
		names = append(names, name)
	}
	if len(calls) == 0 {
		return nil
	}
	err := w.run(ctx, calls...)
	var marks []any
	for i, c := range calls {
		if waits, callErr := c.reply.Int(); callErr == nil && waits == 1 {
			marks = append(marks, names[i], 0)
		}
	}
	if err = errors.Join(err, w.markOnly(ctx, "rel", marks)); err != nil {
		return fmt.Errorf("note the room of types: %w", err)
	}
	return nil
}

// Release ends claims: those of dropped do not come back, while those of back fall due
// again.
func (w *Wheel) Release(ctx context.Context, dropped []task.Ref, back []task.DueIn) error {
	var calls []*call
	release := func(taskType string, args, mark []any) {
		calls = append(calls, &call{script: releaseScript, keys: w.names.ring(taskType).keys(), args: args, mark: mark})
	}
	for _, p := range byType(dropped, typeOfRef) {
		args := make([]any, 0, 1+len(p.tasks))
		args = append(args, len(p.tasks))
		for i := range p.tasks {
			args = append(args, p.tasks[i].ID.String())
		}
		release(p.taskType, args, nil)
	}
	for _, p := range byType(back, typeOfDueIn) {
		pairs := waits(p.tasks)
		release(p.taskType, append([]any{0}, pairs...), []any{p.taskType, ringPairs{p.taskType, pairs}.first()})
	}
	if len(calls) == 0 {
		return nil
	}
	if err := w.change(ctx, calls, "rel"); err != nil {
		return fmt.Errorf("release claims: %w", err)
	}
	return nil
}
