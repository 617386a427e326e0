package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

const (
	// recheck is how often a worker looks that has nothing to do and does not
	// watch, more or less by chance. It bounds what the death of the one that
	// watches can cost.
	recheck = time.Second
	// watchRecheck is how often the worker looks that watches, within the term of
	// the watch. It bounds what a lost wake message can cost.
	watchRecheck = 200 * time.Millisecond
	// lastStretch is more than a timer of the runtime can be late.
	lastStretch = 1500 * time.Microsecond
	// firstPause and maxPause bound the pauses while Redis does not serve.
	firstPause, maxPause = 20 * time.Millisecond, time.Second
	// refusedPause is when a task is looked at again that was refused although
	// it is due.
	refusedPause = 20 * time.Millisecond
)

// claimLoop claims from one shard until ctx ends.
func (w *Worker) claimLoop(ctx context.Context, shard int) {
	wake := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		w.index.Wake(ctx, shard, w.self, func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
	}()
	defer func() {
		<-listening
		w.handOverWatch(shard)
	}()

	failing, logAgain := false, time.Time{}
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: maxPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
	for {
		s, n := w.ready(ctx)
		if s == nil {
			return
		}
		ids, next, watching, err := w.claim(ctx, shard, n)
		w.slots.settle(n, len(ids))
		if len(ids) == 0 {
			<-w.lanes
		}
		switch {
		case err != nil:
			if now := time.Now(); !failing || now.After(logAgain) {
				w.log.Warn("claiming fails", "shard", shard, "error", err)
				logAgain = now.Add(time.Minute)
			}
			w.metrics.claimsFailed.Inc()
			failing = true
			sleep(ctx, pauses.NextBackOff(), nil)
			continue
		case len(ids) > 0:
			w.tasks.Go(func() { w.start(ctx, s, shard, ids) })
		case watching:
			sleepUntilDue(ctx, next, wake)
		default:
			sleep(ctx, recheck/2+rand.N(recheck), wake)
		}
		failing = false
		pauses.Reset()
	}
}

// handOverWatch hands the watch over, if this worker has it: others wait for the next due
// time from now on.
func (w *Worker) handOverWatch(shard int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.index.Leave(ctx, shard, w.self); err != nil {
		w.log.Debug("the watch was not handed over and lapses", "error", err)
	}
}

// ready waits until a claim can be carried through: it needs a lane for its
// start, a slot for each task, and a session whose lease is live. It returns the
// session, and for how many tasks there are slots; or nil if ctx ended.
func (w *Worker) ready(ctx context.Context) (*session, int) {
	select {
	case w.lanes <- struct{}{}:
	case <-ctx.Done():
		return nil, 0
	}
	n := w.slots.reserve(ctx, maxClaim)
	s := w.session.live(ctx)
	if n == 0 || s == nil {
		w.slots.settle(n, 0)
		<-w.lanes
		return nil, 0
	}
	return s, n
}

// claim does not end with ctx: a claim whose reply is thrown away would strand
// its tasks until it lapses.
func (w *Worker) claim(ctx context.Context, shard, n int) ([]task.ID, time.Duration, bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLapse)
	defer cancel()
	return w.index.Claim(ctx, shard, w.self, w.slots.used(), n, claimLapse)
}

// start commits the start of claimed tasks (T2) and runs those it was granted.
func (w *Worker) start(ctx context.Context, s *session, shard int, ids []task.ID) {
	if ctx.Err() != nil {
		<-w.lanes
		w.requeueClaims(shard, ids, 0)
		return
	}
	failpoint.Hit(failpoint.Claimed)
	seq := s.seq.Add(1)
	started, retried, err := w.store.Start(s.ctx, s.id, seq, ids)
	<-w.lanes
	if err != nil {
		w.log.Warn("claimed tasks were not started", "tasks", len(ids), "error", err)
		w.requeueClaims(shard, ids, maxPause)
		return
	}
	w.launch(s, seq, retried, started)
	w.slots.release(len(ids) - len(started))
	w.releaseClaims(s, shard, ids, started)
}

// releaseClaims ends the claims of a batch. What the start refused is put back if it
// still has to run, when Postgres says that it is due: Redis may be ahead.
func (w *Worker) releaseClaims(s *session, shard int, ids []task.ID, started []task.Task) {
	dropped := ids
	var back []task.DueIn
	if len(started) < len(ids) {
		refused := without(ids, started)
		waiting, err := w.store.Submitted(s.ctx, refused)
		if err != nil {
			return // the claims lapse
		}
		w.metrics.refused.Add(float64(len(refused)))
		for i := range waiting {
			waiting[i].Delay = max(waiting[i].Delay, refusedPause)
		}
		back = waiting
		dropped = withoutDelayed(ids, waiting)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), exitTimeout)
	defer cancel()
	if err := w.index.Release(ctx, shard, dropped, back); err != nil {
		w.log.Debug("claims were not released and lapse", "tasks", len(ids), "error", err)
	}
}

// requeueClaims makes claimed tasks due again, after a wait, that were not started.
func (w *Worker) requeueClaims(shard int, ids []task.ID, wait time.Duration) {
	w.slots.release(len(ids))
	back := make([]task.DueIn, len(ids))
	for i, id := range ids {
		back[i] = task.DueIn{ID: id, Delay: wait}
	}
	ctx, cancel := context.WithTimeout(context.Background(), exitTimeout)
	defer cancel()
	if err := w.index.Release(ctx, shard, nil, back); err != nil {
		w.log.Debug("claims were not given back and lapse", "tasks", len(ids), "error", err)
	}
}

func without(ids []task.ID, started []task.Task) (rest []task.ID) {
	has := make(map[task.ID]bool, len(started))
	for i := range started {
		has[started[i].ID] = true
	}
	for _, id := range ids {
		if !has[id] {
			rest = append(rest, id)
		}
	}
	return rest
}

func withoutDelayed(ids []task.ID, waits []task.DueIn) (rest []task.ID) {
	has := make(map[task.ID]bool, len(waits))
	for _, w := range waits {
		has[w.ID] = true
	}
	for _, id := range ids {
		if !has[id] {
			rest = append(rest, id)
		}
	}
	return rest
}

// sleepUntilDue waits until the next task falls due, which may be never (-1), but no
// longer than watchRecheck, until a wake says that another one comes earlier, or
// the end of ctx. The last stretch is slept exactly; neither of the two ends it.
func sleepUntilDue(ctx context.Context, next time.Duration, wake <-chan struct{}) {
	if next < 0 || next > watchRecheck {
		sleep(ctx, watchRecheck, wake)
		return
	}
	due := time.Now().Add(next)
	if next > lastStretch && !sleep(ctx, next-lastStretch, wake) {
		return
	}
	sleepExactly(due)
}

// sleep waits for d and is false if a wake or the end of ctx came before.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
	case <-ctx.Done():
	}
	return false
}
