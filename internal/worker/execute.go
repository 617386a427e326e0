package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/failpoint"
)

const (
	// abandonAfter is how long after its timeout a handler that ignores its
	// context is waited for before the task is ended without it. The slot stays
	// taken until the handler returns, so such handlers are bounded too.
	abandonAfter = 2 * time.Second
	// maxMessage bounds a failure's message, in bytes.
	maxMessage = 4 << 10
)

// run is what one start committed. Its attempts begin together, so they share
// one context and one timeout.
type run struct {
	session *session
	seq     int64
	// retried is whether the start was: then its receipt stays when the last end is
	// committed.
	retried  bool
	attempts []attempt

	ctx     context.Context //nolint:containedctx // its life is the handlers'
	cancel  context.CancelFunc
	abandon *time.Timer
	calling atomic.Int64 // handlers that have not returned
	open    atomic.Int64 // attempts whose end is not committed
}

// attempt is one started attempt of a task.
type attempt struct {
	run   *run
	task  *task.Task
	ended atomic.Bool // by the handler, or by the one who gave it up
}

// launch calls the handlers of the tasks that one start was granted, each in a
// goroutine of its own.
func (w *Worker) launch(s *session, seq int64, retried bool, started []task.Task) {
	n := len(started)
	if n == 0 {
		s.receipts.close(seq, retried)
		return
	}
	r := &run{session: s, seq: seq, retried: retried, attempts: make([]attempt, n)}
	for i := range started {
		r.attempts[i].run, r.attempts[i].task = r, &started[i]
	}
	r.calling.Store(int64(n))
	r.open.Store(int64(n))
	w.tasks.Add(n + 1)                    // the timer is one more
	s.waitUntilLive(context.Background()) // or the wait would count as the handlers' time
	r.ctx, r.cancel = context.WithTimeout(s.handlers, w.cfg.TaskTimeout)
	r.abandon = time.AfterFunc(w.cfg.TaskTimeout+abandonAfter, func() { w.abandonTimedOut(r) })
	w.metrics.running.Add(float64(n))
	for i := range r.attempts {
		go w.execute(&r.attempts[i])
	}
}

// execute runs one started attempt to its end, and hands that to the commit.
func (w *Worker) execute(a *attempt) {
	r := a.run
	defer func() {
		w.metrics.running.Dec()
		if r.calling.Add(-1) == 0 {
			r.cancel()
			if r.abandon.Stop() {
				w.tasks.Done()
			}
		}
	}()
	failpoint.Hit(failpoint.Started)
	// The start is committed, but this process may have been stopped since. A
	// session that was lost meanwhile has had its tasks settled by others.
	if !r.session.waitUntilLive(context.Background()) {
		w.log.Warn("started task is not run, its session was lost", "task_id", a.task.ID)
		a.ended.Store(true)
		w.drop(a)
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
	result, err := handle(a.run.ctx, a.task)
	returned = true
	failpoint.Hit(failpoint.Ran)
	if result != nil && !json.Valid(result) {
		w.log.Warn("result is no JSON and is not kept", "task_id", a.task.ID, "task_type", a.task.Type)
		result = nil
	}
	w.complete(a, result, w.failure(a.run.ctx, err))
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

// abandonTimedOut ends the attempts of handlers that ignore their context.
func (w *Worker) abandonTimedOut(r *run) {
	defer w.tasks.Done()
	for i := range r.attempts {
		a := &r.attempts[i]
		if !a.ended.CompareAndSwap(false, true) {
			continue
		}
		w.tasks.Add(1) // beside the handler, which is still in hand
		w.log.Error("handler ignores its context and is given up", "task_id", a.task.ID, "task_type", a.task.Type)
		failure := &task.Failure{Code: task.Timeout, Message: "the handler did not return after its time had passed"}
		w.finish(a, 0, nil, failure)
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
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &task.Failure{Code: task.Timeout, Message: clean(err.Error())}
	case ctx.Err() != nil && w.drained.Err() != nil:
		message := errDraining.Error()
		if !errors.Is(err, errDraining) {
			message += ": " + err.Error()
		}
		return &task.Failure{Code: task.WorkerStopped, Message: clean(message)}
	}
	return &task.Failure{Code: task.HandlerError, Message: clean(err.Error())}
}

// clean makes a text that Postgres can store out of any other.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + " [cut]"
	}
	return text
}
