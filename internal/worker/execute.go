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

	"go.opentelemetry.io/otel/trace"

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
	abandon  *time.Timer
	calling  atomic.Int64 // handlers that have not returned
}

// attempt is one started attempt of a task.
type attempt struct {
	batch *batch
	run   *run
	task  *task.Task
	ctx   attemptContext
	ended atomic.Bool // by the handler, or by the one who gave it up
	span  trace.Span  // nil if none is made
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
	b := &batch{run: r, attempts: make([]attempt, len(tasks))}
	b.calling.Store(int64(len(tasks)))
	deadline := time.Now().Add(timeout)
	b.abandon = time.AfterFunc(timeout+abandonAfter, func() { w.abandonTimedOut(b) })
	for i, t := range tasks {
		a := &b.attempts[i]
		a.batch, a.run, a.task = b, r, t
		a.ctx.begin(r.session.handlers, deadline)
		w.startSpan(a)
		go w.execute(a)
	}
}

// execute runs one started attempt to its end, and hands that to the commit.
func (w *Worker) execute(a *attempt) {
	defer func() {
		a.ctx.end()
		w.metrics.running.Dec()
		if a.batch.calling.Add(-1) == 0 && a.batch.abandon.Stop() {
			w.tasks.Done()
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

// abandonTimedOut ends the attempts of handlers that ignore their context.
func (w *Worker) abandonTimedOut(b *batch) {
	defer w.tasks.Done()
	for i := range b.attempts {
		a := &b.attempts[i]
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
