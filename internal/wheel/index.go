package wheel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/timewheel/timewheel/internal/task"
)

// Index gives tasks their due times, whether or not it had them (T6).
func (w *Wheel) Index(ctx context.Context, tasks []task.Due) error {
	_, err := w.index(ctx, "set", tasks)
	return err
}

// Repair adds those tasks that the index lost: neither due nor claimed. Those that it has at
// a later time, which is still ahead, are brought forward. It returns how many both are. Their
// types are marked unless they are to be looked at soon: the agenda may be what was lost.
func (w *Wheel) Repair(ctx context.Context, tasks []task.Due) (int, error) {
	return w.index(ctx, "repair", tasks)
}

func (w *Wheel) index(ctx context.Context, mode string, tasks []task.Due) (int, error) {
	var rings []ringPairs
	for _, p := range byType(tasks, typeOfDue) {
		pairs := make([]any, 0, 2*len(p.tasks))
		for i := range p.tasks {
			pairs = append(pairs, micros(p.tasks[i].At), p.tasks[i].ID.String())
		}
		rings = append(rings, ringPairs{p.taskType, pairs})
	}
	return w.indexPairs(ctx, mode, "abs", rings)
}

// IndexIn makes tasks due after a wait by Redis' clock.
func (w *Wheel) IndexIn(ctx context.Context, tasks []task.DueIn) error {
	var rings []ringPairs
	for _, p := range byType(tasks, typeOfDueIn) {
		rings = append(rings, ringPairs{p.taskType, waits(p.tasks)})
	}
	_, err := w.indexPairs(ctx, "set", "rel", rings)
	return err
}

func waits(tasks []task.DueIn) []any {
	pairs := make([]any, 0, 2*len(tasks))
	for i := range tasks {
		pairs = append(pairs, max(0, tasks[i].Delay).Microseconds(), tasks[i].ID.String())
	}
	return pairs
}

// ringPairs are times and ids of one type, as a script takes them.
type ringPairs struct {
	taskType string
	pairs    []any // time, id, time, id, ...
}

// first is the earliest of the times.
func (r ringPairs) first() int64 {
	first, _ := r.pairs[0].(int64)
	for i := 2; i < len(r.pairs); i += 2 {
		if at, _ := r.pairs[i].(int64); at < first {
			first = at
		}
	}
	return first
}

// indexPairs indexes and then marks, page by page. In a cluster, an error is a
// task.UnreachedError.
func (w *Wheel) indexPairs(ctx context.Context, mode, base string, rings []ringPairs) (total int, err error) {
	var unreached []string
	for len(rings) > 0 && (err == nil || w.cluster) {
		var calls []*call
		var types []string
		for room := 2 * page; room > 0 && len(rings) > 0; {
			r := ringPairs{rings[0].taskType, rings[0].pairs[:min(room, len(rings[0].pairs))]}
			room -= len(r.pairs)
			if rings[0].pairs = rings[0].pairs[len(r.pairs):]; len(rings[0].pairs) == 0 {
				rings = rings[1:]
			}
			calls = append(calls, &call{
				script: indexScript, keys: w.names.ring(r.taskType).keys(), args: append([]any{mode, base}, r.pairs...),
				mark: []any{r.taskType, r.first()},
			})
			types = append(types, r.taskType)
		}
		var one error
		if mode == "repair" {
			one = w.repair(ctx, calls)
		} else {
			one = w.change(ctx, calls, base)
		}
		for i, c := range calls {
			n, callErr := c.reply.Int()
			if total += n; callErr != nil {
				unreached = append(unreached, types[i])
			}
		}
		err = errors.Join(err, one)
	}
	if err == nil {
		return total, nil
	}
	err = fmt.Errorf("index tasks: %w", err)
	if w.cluster {
		err = &task.UnreachedError{Types: unreached, Err: err}
	}
	return total, err
}

// repair adds to rings, and then marks those types of which something was missing. The
// others are marked only if the agenda has forgotten them: what waits for a limit is
// overdue, and is not to be looked at for that.
func (w *Wheel) repair(ctx context.Context, calls []*call) error {
	err := w.run(ctx, calls...)
	var missing, there []any
	for _, c := range calls {
		if added, callErr := c.reply.Int(); callErr == nil && added > 0 {
			missing = append(missing, c.mark...)
		} else {
			there = append(there, c.mark...)
		}
	}
	return errors.Join(err, w.markOnly(ctx, "abs", missing), w.markOnly(ctx, "repair", there))
}

// change changes rings and marks their types in the agenda after that. One server carries
// out both in one round trip, in order. Of a cluster each ring has its own, and none waits
// for a server that another one needs.
func (w *Wheel) change(ctx context.Context, calls []*call, base string) error {
	if !w.cluster {
		var marks []any
		for _, c := range calls {
			marks = append(marks, c.mark...)
		}
		if len(marks) > 0 {
			calls = append(calls, w.mark(base, marks))
		}
		return w.run(ctx, calls...)
	}
	errs := make([]error, len(calls))
	var each sync.WaitGroup
	for i, c := range calls {
		each.Go(func() {
			if errs[i] = w.run(ctx, c); errs[i] == nil {
				errs[i] = w.markOnly(ctx, base, c.mark)
			}
		})
	}
	each.Wait()
	return errors.Join(errs...)
}

func (w *Wheel) mark(base string, marks []any) *call {
	return &call{
		script: markScript, keys: []string{w.names.agenda, w.names.marks, w.names.watch},
		args: append([]any{w.names.wake, base}, marks...),
	}
}

// agendaPause is how long nothing is marked in a cluster after that has failed.
const agendaPause = time.Second

// markOnly marks types whose rings were changed before: type, time, type, time, ... While
// the server of a cluster's agenda does not answer, changes do not each wait for it: the
// workers look at the rings by themselves then.
func (w *Wheel) markOnly(ctx context.Context, base string, marks []any) error {
	if len(marks) == 0 || time.Now().UnixNano() < w.agendaAway.Load() {
		return nil
	}
	err := w.run(ctx, w.mark(base, marks))
	var refusal redis.Error
	if w.cluster && err != nil && !errors.As(err, &refusal) {
		w.agendaAway.Store(time.Now().Add(agendaPause).UnixNano())
	}
	return err
}

// Remove drops tasks from the index. They will not run; a claim that is under
// way is left to be refused by the start.
func (w *Wheel) Remove(ctx context.Context, tasks []task.Ref) error {
	if len(tasks) == 0 {
		return nil
	}
	parts := byType(tasks, typeOfRef)
	removals := make([]*redis.IntCmd, len(parts))
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, part := range parts {
			members := make([]any, len(part.tasks))
			for j := range part.tasks {
				members[j] = part.tasks[j].ID.String()
			}
			removals[i] = p.ZRem(ctx, w.names.ring(part.taskType).due, members...)
		}
		return nil
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("remove tasks: %w", err)
	if w.cluster {
		unreached := &task.UnreachedError{Err: err}
		for i, removal := range removals {
			if removal.Err() != nil {
				unreached.Types = append(unreached.Types, parts[i].taskType)
			}
		}
		return unreached
	}
	return err
}

// DropType forgets the limits of a type that is deleted, and tells the workers. What may be
// left in its ring is dropped by the audit.
func (w *Wheel) DropType(ctx context.Context, name string) error {
	if err := w.client.Unlink(ctx, w.names.ring(name).limits).Err(); err != nil {
		return fmt.Errorf("forget the limits of a type: %w", err)
	}
	return w.TypesChanged(ctx)
}

// micros is a time as a score. All scores are exact in a double: what is due
// before 1970 is as due as can be, and nothing beyond the year 2255 comes
// within a horizon.
func micros(t time.Time) int64 { return max(0, t.UnixMicro()) }
