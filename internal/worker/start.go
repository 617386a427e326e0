package worker

import (
	"context"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

// refusedPause is when a task is looked at again that was refused although it is due.
const refusedPause = 20 * time.Millisecond

// start commits the start of claimed tasks (T2) and runs those it was granted.
func (w *Worker) start(ctx context.Context, s *session, claims []task.Claimed) {
	var types []string
	var ids []task.ID
	for i := range claims {
		if len(claims[i].IDs) > 0 {
			types = append(types, claims[i].Type)
			ids = append(ids, claims[i].IDs...)
		}
	}
	if ctx.Err() != nil {
		<-w.lanes
		w.requeueClaims(claims, 0)
		return
	}
	failpoint.Hit(failpoint.Claimed)
	seq := s.seq.Add(1)
	started, retried, err := w.store.Start(s.ctx, s.id, seq, types, ids)
	<-w.lanes
	if err != nil {
		w.log.Warn("claimed tasks were not started", "tasks", len(ids), "error", err)
		w.requeueClaims(claims, maxPause)
		return
	}
	w.launch(s, seq, retried, started)
	w.releaseClaims(s, claims, started)
}

// counting are types by name.
type counting struct {
	mu    sync.Mutex
	types map[string]bool
}

func (c *counting) underWay(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.types[name]
}

func (c *counting) set(name string, underWay bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types == nil {
		c.types = map[string]bool{}
	}
	if c.types[name] = underWay; !underWay {
		delete(c.types, name)
	}
}

// startCountedLater starts claimed tasks of a type with max_running, beside the loop.
func (c *claimer) startCountedLater(ctx context.Context, s *session, claim task.Claimed) {
	c.counting.set(claim.Type, true)
	c.tasks.Go(func() {
		c.startCounted(ctx, s, claim)
		c.counting.set(claim.Type, false)
		c.inbox.poke()
	})
}

// startCounted commits the start of those tasks for which there is room, and runs them.
func (w *Worker) startCounted(ctx context.Context, s *session, claim task.Claimed) {
	claims := []task.Claimed{claim}
	if ctx.Err() != nil {
		w.requeueClaims(claims, 0)
		w.freeRoom(claim.Type, len(claim.IDs))
		return
	}
	failpoint.Hit(failpoint.Claimed)
	seq := s.seq.Add(1)
	started, full, retried, err := w.store.StartCounted(s.ctx, s.id, seq, claim.Type, claim.IDs)
	if err != nil {
		w.log.Warn("claimed tasks were not started", "tasks", len(claim.IDs), "error", err)
		w.requeueClaims(claims, maxPause)
		return // how many run is looked at by the leader
	}
	refused := len(claim.IDs) - len(started)
	w.launchRun(&run{session: s, seq: seq, retried: retried, counted: true}, started)
	w.releaseClaims(s, claims, started)
	if refused > 0 && !full { // else Redis had hoped for more, which the claim has used up
		w.freeRoom(claim.Type, refused)
	}
}

// freeRoom tells Redis that places of a type are free again, and so wakes a worker for
// what waits. Should it fail, the leader says so a moment later.
func (w *Worker) freeRoom(taskType string, n int) { w.addRoom(map[string]int{taskType: n}) }

func (w *Worker) addRoom(places map[string]int) {
	ctx, cancel := context.WithTimeout(context.Background(), exitTimeout)
	defer cancel()
	if err := w.index.AddRoom(ctx, places); err != nil {
		w.log.Debug("free places are told by the leader", "error", err)
	}
}

// releaseClaims ends claims. What the start refused gives back its slot, and is put back
// if it still has to run, when Postgres says that it is due: Redis may be ahead. One that has
// another type by now goes to the ring of that, and out of this one.
func (w *Worker) releaseClaims(s *session, claims []task.Claimed, started []task.Task) {
	dropped := refs(claims)
	var back []task.DueIn
	if len(started) < len(dropped) {
		refused := without(dropped, started)
		for _, r := range refused {
			w.slots.give(r.Type, 1)
		}
		ids := make([]task.ID, len(refused))
		for i, r := range refused {
			ids[i] = r.ID
		}
		waiting, err := w.store.Refused(s.ctx, ids)
		if err != nil {
			return // the claims lapse
		}
		w.metrics.refused.Add(float64(len(refused)))
		for i := range waiting {
			waiting[i].Delay = max(waiting[i].Delay, refusedPause)
		}
		back = waiting
		dropped = withoutDelayed(dropped, waiting)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), exitTimeout)
	defer cancel()
	if err := w.index.Release(ctx, dropped, back); err != nil {
		w.log.Debug("claims were not released and lapse", "tasks", len(dropped)+len(back), "error", err)
	}
}

// requeueClaims makes claimed tasks due again, after a wait, that were not started.
func (w *Worker) requeueClaims(claims []task.Claimed, wait time.Duration) {
	var back []task.DueIn
	for _, c := range claims {
		w.slots.give(c.Type, len(c.IDs))
		for _, id := range c.IDs {
			back = append(back, task.DueIn{ID: id, Type: c.Type, Delay: wait})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), exitTimeout)
	defer cancel()
	if err := w.index.Release(ctx, nil, back); err != nil {
		w.log.Debug("claims were not given back and lapse", "tasks", len(back), "error", err)
	}
}

func refs(claims []task.Claimed) (all []task.Ref) {
	for i := range claims {
		for _, id := range claims[i].IDs {
			all = append(all, task.Ref{ID: id, Type: claims[i].Type})
		}
	}
	return all
}

func without(tasks []task.Ref, started []task.Task) (rest []task.Ref) {
	has := make(map[task.ID]bool, len(started))
	for i := range started {
		has[started[i].ID] = true
	}
	for _, t := range tasks {
		if !has[t.ID] {
			rest = append(rest, t)
		}
	}
	return rest
}

func withoutDelayed(tasks []task.Ref, waits []task.DueIn) (rest []task.Ref) {
	has := make(map[task.Ref]bool, len(waits))
	for _, w := range waits {
		has[task.Ref{ID: w.ID, Type: w.Type}] = true
	}
	for _, t := range tasks {
		if !has[t] {
			rest = append(rest, t)
		}
	}
	return rest
}
