package worker

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/timewheel/timewheel/internal/task"
)

// The outcomes of an attempt beside done and the codes of failures.
const (
	lateResult = "late_result"
	// unrecorded: the session is over, and others have settled the task. It is not counted.
	unrecorded = "unrecorded"
)

// outcomes are those that this worker may count.
var outcomes = []string{
	string(task.Done), string(task.HandlerError), string(task.Timeout), string(task.Panic),
	string(task.WorkerStopped), string(task.UnknownType), string(task.Cancelled), lateResult,
}

// outcome names how an attempt ended, given what its task became.
func outcome(status task.Status, failure *task.Failure) string {
	switch {
	case status == "":
		return lateResult
	case failure != nil:
		return string(failure.Code)
	}
	return string(status)
}

// bornTypes is up to how many types all outcomes are there before they occur. Of more types, those
// that do.
const bornTypes = 200

// ends counts attempts by type and outcome. When it is scraped it has a zero for what has not
// occurred yet of the types that are served, so that the first one is a rise, and nothing of
// types that are declared no more. It asks nobody for that but the node's own memory.
type ends struct {
	*prometheus.CounterVec

	// served are the types that this worker executes now.
	served func() []string

	mu    sync.Mutex
	shown map[string]bool // at the last scrape
}

// Collect implements prometheus.Collector.
func (e *ends) Collect(out chan<- prometheus.Metric) {
	e.follow()
	e.CounterVec.Collect(out)
}

// follow gives and takes series as types come and go.
func (e *ends) follow() {
	e.mu.Lock()
	defer e.mu.Unlock()
	served := map[string]bool{}
	for _, name := range e.served() {
		served[name] = true
	}
	for name := range e.shown {
		if !served[name] {
			e.DeletePartialMatch(prometheus.Labels{"task_type": name})
		}
	}
	e.shown = served
	if len(served) > bornTypes {
		return
	}
	for name := range served {
		for _, outcome := range outcomes {
			e.WithLabelValues(name, outcome)
		}
	}
}

// executed are the types that this worker may serve and has a handler for.
func (w *Worker) executed() []string {
	return slices.DeleteFunc(slices.Clone(w.declared()), func(name string) bool {
		_, declared := w.types.Type(name)
		_, known := w.lookup(name)
		return !declared || !known
	})
}

// declared are the types that this worker may serve.
func (w *Worker) declared() []string {
	if w.cfg.Types != nil {
		return w.cfg.Types
	}
	return w.types.Names()
}
