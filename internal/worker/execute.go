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

	"github.com/timewheel/timewheel/internal/failpoint"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	// abandonAfter is how long after its timeout a handler that ignores its
	// context is waited for before the task is ended without it. The slot stays
	// taken until the handler returns, so such handlers are bounded too.
	abandonAfter = 2 * time.Second
	// maxMessage bounds a failure's message, in bytes.
	maxMessage = 4 << 10
)

// execute runs one started attempt to its committed end.
func (w *Worker) execute(s *session, seq int64, t *task.Task) {
	defer w.slots.give(1)
	failpoint.Hit(failpoint.Started)
	// The start is committed, but this process may have been stopped since. A
	// session that was lost meanwhile has had its tasks settled by others.
	if !s.await(context.Background()) {
		w.log.Warn("started task is not run, its session was lost", "task_id", t.ID)
		return
	}
	lateness, _ := t.Lateness()
	w.metrics.lateness.Observe(lateness.Seconds())
	w.metrics.running.Inc()
	defer w.metrics.running.Dec()

	var ended atomic.Bool // by the handler, or by the one who gave it up
	abandon := time.AfterFunc(w.cfg.TaskTimeout+abandonAfter, func() {
		if ended.CompareAndSwap(false, true) {
			w.log.Error("handler ignores its context and is given up", "task_id", t.ID, "task_type", t.Type)
			failure := &task.Failure{Code: task.Timeout, Message: "the handler did not return after its time had passed"}
			w.finish(s, seq, t, nil, failure)
		}
	})
	defer abandon.Stop()
	w.call(s, t, func(result json.RawMessage, failure *task.Failure) {
		if ended.CompareAndSwap(false, true) {
			w.finish(s, seq, t, result, failure)
		}
	})
}

// call calls the handler and hands its end to finish exactly once, however the
// handler ends: by a return, a panic, or the end of its goroutine.
func (w *Worker) call(s *session, t *task.Task, finish func(json.RawMessage, *task.Failure)) {
	handle, known := w.lookup(t.Type)
	if !known {
		finish(nil, &task.Failure{Code: task.UnknownType, Message: "this worker has no handler for the task's type"})
		return
	}
	ctx, cancel := context.WithTimeout(s.handlers, w.cfg.TaskTimeout)
	defer cancel()

	returned := false
	defer func() {
		if returned {
			return
		}
		message := "the handler ended its goroutine"
		if p := recover(); p != nil {
			message = fmt.Sprintf("panic: %v", p)
			w.log.Error("handler panicked", "task_id", t.ID, "task_type", t.Type, "stack", string(debug.Stack()))
		}
		finish(nil, &task.Failure{Code: task.Panic, Message: clean(message)})
	}()
	failpoint.Hit(failpoint.Handling)
	result, err := handle(ctx, t)
	returned = true
	failpoint.Hit(failpoint.Ran)
	finish(result, w.failure(ctx, err))
}

// failure says why a handler returned an error.
func (w *Worker) failure(ctx context.Context, err error) *task.Failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &task.Failure{Code: task.Timeout, Message: clean(err.Error())}
	case ctx.Err() != nil && w.drained.Err() != nil:
		return &task.Failure{Code: task.HandlerError, Message: clean(errDraining.Error() + ": " + err.Error())}
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
