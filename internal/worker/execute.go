package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

const (
	// abandonAfter is how long after the end of its context a handler that ignores that
	// is waited for before the task is ended without it. The slot stays
	// taken until the handler returns, so such handlers are bounded too.
	abandonAfter = 2 * time.Second
	// maxMessage bounds a failure's message, in bytes.
	maxMessage = 4 << 10
)

// run is what one start committed.
type run struct {
	session *session
	seq     int64
	// retried is whether the start was: then its receipt stays when the last end is
	// committed.
	retried bool
	counted bool         // the start counted its attempts, and their ends give the places back
	open    atomic.Int64 // attempts whose end is not committed
}

// batch are the attempts of a run that have the same time, and so one timer for those
// that ignore its end.
type batch struct {
	run      *run
	attempts []attempt
	deadline time.Time
	abandon  *time.Timer
	calling  atomic.Int64 // handlers that have not returned
	// mu is for whoever sets the timer once it runs: it fires sooner for what is cancelled.
	mu sync.Mutex
}

// attempt is one started attempt of a task.
type attempt struct {
	batch *batch
	run   *run
	task  *task.Task
	ctx   attemptContext
	ended atomic.Bool // by the handler, or by the one who gave it up
	span  trace.Span  // nil if none is made
	// cancelledAt is when it was cancelled, or zero. It belongs to whoever holds batch.mu.
	cancelledAt time.Time
}

// launch calls the handlers of the tasks that one start was granted, each in a
// goroutine of its own.
func (w *Worker) launch(s *session, seq int64, retried bool, started []task.Task) {
	w.launchRun(&run{session: s, seq: seq, retried: retried}, started)
}

func (w *Worker) launchRun(r *run, started []task.Task) {
	if len(started) == 0 {
		r.session.receipts.close(r.seq, r.retried)
		return
	}
	r.open.Store(int64(len(started)))
	batches := map[time.Duration][]*task.Task{}
	for i := range started {
		timeout := w.timeout(&started[i])
		batches[timeout] = append(batches[timeout], &started[i])
	}
	w.tasks.Add(len(started) + len(batches))      // each timer is one more
	r.session.waitUntilLive(context.Background()) // or the wait would count as the handlers' time
	w.metrics.running.Add(float64(len(started)))
	for timeout, tasks := range batches {
		w.launchBatch(r, timeout, tasks)
	}
}

// timeout bounds an attempt: as the task says, or its type, or this worker.
func (w *Worker) timeout(started *task.Task) time.Duration {
	if started.Timeout != nil {
		return *started.Timeout
	}
	if t, _ := w.types.Type(started.Type); t.Timeout != nil {
		return *t.Timeout
	}
	return w.cfg.TaskTimeout
}

func (w *Worker) launchBatch(r *run, timeout time.Duration, tasks []*task.Task) {
	b := &batch{run: r, attempts: make([]attempt, len(tasks)), deadline: time.Now().Add(timeout)}
	b.calling.Store(int64(len(tasks)))
	for i, t := range tasks {
		a := &b.attempts[i]
		a.batch, a.run, a.task = b, r, t
		a.ctx.begin(r.session.handlers, b.deadline)
		w.startSpan(a)
	}
	b.abandon = time.AfterFunc(timeout+abandonAfter, func() { w.abandonDeaf(b) })
	w.running.add(b)
	for i := range b.attempts {
		go w.execute(&b.attempts[i])
	}
}

// execute runs one started attempt to its end, and hands that to the commit.
func (w *Worker) execute(a *attempt) {
	defer func() {
		a.ctx.end()
		w.metrics.running.Dec()
		if a.batch.calling.Add(-1) == 0 {
			w.running.remove(a.batch)
			if a.batch.abandon.Stop() {
				w.tasks.Done()
			}
		}
	}()
	failpoint.Hit(failpoint.Started)
	// The start is committed, but this process may have been stopped since. A
	// session that was lost meanwhile has had its tasks settled by others.
	if !a.run.session.waitUntilLive(context.Background()) {
		w.log.Warn("started task is not run, its session was lost", "task_id", a.task.ID)
		a.ended.Store(true)
		a.endSpan(unrecorded)
		w.drop(a)
		return
	}
	if errors.Is(a.ctx.cause(), errCancelled) {
		w.complete(a, nil, &task.Failure{Code: task.Cancelled, Message: errCancelled.Error() + " before its handler was called"})
		return
	}
	delay, _ := a.task.StartDelay()
	w.metrics.lateness.Observe(delay.Seconds())
	w.call(a)
}

// call calls the handler and ends the attempt exactly once, however the handler
// ends: by a return, a panic, or the end of its goroutine.
func (w *Worker) call(a *attempt) {
	handle, known := w.lookup(a.task.Type)
	if !known {
		w.complete(a, nil, &task.Failure{Code: task.UnknownType, Message: "this worker has no handler for the task's type"})
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		message := "the handler ended its goroutine"
		if p := recover(); p != nil {
			message = fmt.Sprintf("panic: %v", p)
			w.log.Error("handler panicked", "task_id", a.task.ID, "task_type", a.task.Type, "stack", string(debug.Stack()))
		}
		w.complete(a, nil, &task.Failure{Code: task.Panic, Message: clean(message)})
	}()
	failpoint.Hit(failpoint.Handling)
	result, err := handle(a.handlerContext(), a.task)
	returned = true
	failpoint.Hit(failpoint.Ran)
	if result != nil && !json.Valid(result) {
		w.log.Warn("result is no JSON and is not kept", "task_id", a.task.ID, "task_type", a.task.Type)
		result = nil
	}
	w.complete(a, result, w.failure(&a.ctx, err))
}

// complete is called when a handler has returned. If it was given up before, its complete
// is recorded already and only its slot is left to give back.
func (w *Worker) complete(a *attempt, result json.RawMessage, failure *task.Failure) {
	if !a.ended.CompareAndSwap(false, true) {
		w.drop(a)
		return
	}
	w.finish(a, 1, result, failure)
}

// abandonDeaf ends the attempts of handlers that ignore the end of their context, once that
// was long enough ago.
func (w *Worker) abandonDeaf(b *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.attempts {
		a := &b.attempts[i]
		if a.abandonAt().After(time.Now()) || !a.ended.CompareAndSwap(false, true) {
			continue
		}
		w.tasks.Add(1) // beside the handler, which is still in hand
		w.log.Error("handler ignores its context and is given up", "task_id", a.task.ID, "task_type", a.task.Type)
		failure := &task.Failure{Code: task.Timeout, Message: "the handler did not return after its time had passed"}
		if errors.Is(a.ctx.cause(), errCancelled) {
			failure = &task.Failure{Code: task.Cancelled, Message: errCancelled.Error() + ", and the handler did not return"}
		}
		w.finish(a, 0, nil, failure)
	}
	w.setTimer(b)
}

// abandonAt is when the attempt is given up.
func (a *attempt) abandonAt() time.Time {
	end := a.batch.deadline
	if c := a.cancelledAt; !c.IsZero() && c.Before(end) {
		end = c
	}
	return end.Add(abandonAfter)
}

// setTimer sets the timer of a batch, which is not running, for the next attempt to be given up.
func (w *Worker) setTimer(b *batch) {
	var next time.Time
	for i := range b.attempts {
		if a := &b.attempts[i]; !a.ended.Load() && (next.IsZero() || a.abandonAt().Before(next)) {
			next = a.abandonAt()
		}
	}
	if next.IsZero() {
		w.tasks.Done()
		return
	}
	b.abandon.Reset(time.Until(next))
	// Whoever was the last to return may have found it not running.
	if b.calling.Load() == 0 && b.abandon.Stop() {
		w.tasks.Done()
	}
}

// drop gives back the slot of a task that this worker is through with.
func (w *Worker) drop(a *attempt) {
	w.slots.give(a.task.Type, 1)
	w.tasks.Done()
}

// failure says why a handler returned an error.
func (w *Worker) failure(ctx context.Context, err error) *task.Failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errCancelled):
		return &task.Failure{Code: task.Cancelled, Message: because(errCancelled, err)}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &task.Failure{Code: task.Timeout, Message: clean(err.Error())}
	case ctx.Err() != nil && w.drained.Err() != nil:
		return &task.Failure{Code: task.WorkerStopped, Message: because(errDraining, err)}
	}
	return &task.Failure{Code: task.HandlerError, Message: clean(err.Error())}
}

// because words why a context ended, and what its handler returned then.
func because(cause, err error) string {
	if errors.Is(err, cause) {
		return clean(cause.Error())
	}
	return clean(cause.Error() + ": " + err.Error())
}

// clean makes a text that Postgres can store out of any other.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + " [cut]"
	}
	return text
}
