// Package worker is one worker node: it claims what is due, commits the start,
// calls the handler, and commits the end.
//
// The stages of successive batches overlap: while one is being started the next
// is claimed, and ends are committed in groups. What bounds all of it is the
// number of slots: a task takes one when it is claimed and gives it back when
// its end is committed. Between the claim and the committed start there are two
// batches at most, so that nothing is claimed that Postgres cannot start yet.
package worker

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/timewheel/timewheel/internal/groupcommit"
	"github.com/timewheel/timewheel/internal/task"
)

// Store is Postgres as a worker needs it.
type Store interface {
	Register(ctx context.Context, session uuid.UUID, host string, lease time.Duration) error
	Renew(ctx context.Context, session uuid.UUID, lease time.Duration) error
	End(ctx context.Context, session uuid.UUID) (task.Reaped, error)
	Start(ctx context.Context, session uuid.UUID, seq int64, types []string, ids []task.ID) (started []task.Task, retried bool, err error)
	StartCounted(ctx context.Context, session uuid.UUID, seq int64, taskType string, ids []task.ID) (
		started []task.Task, full, retried bool, err error)
	Refused(ctx context.Context, ids []task.ID) ([]task.DueIn, error)
	Cancels(ctx context.Context, session uuid.UUID) ([]task.ID, error)
	Finish(ctx context.Context, session uuid.UUID, ended []task.Finish, closed task.Closed, wait bool) ([]task.Finished, error)
}

// Index is the due index in Redis as a worker needs it.
type Index interface {
	Next(ctx context.Context, ask task.Ask) (task.Agenda, error)
	Claim(ctx context.Context, wants []task.Want, lapse time.Duration) []task.Claimed
	Release(ctx context.Context, dropped []task.Ref, back []task.DueIn) error
	AddRoom(ctx context.Context, places map[string]int) error
	IndexIn(ctx context.Context, tasks []task.DueIn) error
	Wake(ctx context.Context, worker uuid.UUID, group string, f func(task.Entry), typesChanged func(), cancels func(session string))
	Leave(ctx context.Context, worker uuid.UUID, group string) error
}

// Handler carries out one attempt of a task. The task's attempt is its fencing
// token. A result is kept whether or not there is an error. The context ends with the
// time for the attempt, or when the handler returns.
type Handler = func(ctx context.Context, t *task.Task) (json.RawMessage, error)

// Lookup finds the handler of a task type.
type Lookup func(taskType string) (Handler, bool)

// Types is what the worker knows of task types.
type Types interface {
	Type(name string) (task.Type, bool)
	// Names are those of all types.
	Names() []string
	// Changed holds a token after a change.
	Changed() <-chan struct{}
	// Refresh looks for changes now.
	Refresh(ctx context.Context) error
}

// Grace is how long after its lease has passed a session is still not declared
// dead: it covers a renewal that is under way.
const Grace = 2 * time.Second

const (
	// claimLapse is how long a claim holds. It covers the way from the claim to
	// the committed start, and is what a claim costs whose reply was lost.
	claimLapse = 5 * time.Second
	// maxClaim is the most tasks that one claim takes.
	maxClaim = 1000
	// startLanes is how many claims may be on their way to a committed start.
	// What falls due meanwhile gathers in Redis, for the next claim.
	startLanes = 2
	// finishBatch, finishBytes and finishLanes shape the group commit of ends, and
	// finishMaxLanes is how many statements there may be when some are slow.
	finishBatch, finishBytes    = 500, 1 << 20
	finishLanes, finishMaxLanes = 2, 4
	// retryLanes is how many statements at a time try again to commit ends that
	// failed before. They leave the other connections to those that may succeed.
	retryLanes = 2
	// exitTimeout bounds each of the last writes of a worker.
	exitTimeout = 5 * time.Second
)

// Config is what an operator chooses.
type Config struct {
	// Host is how the worker is shown to people.
	Host string
	// Concurrency is the number of slots, and OwnSlots those of types that have slots of
	// their own among them.
	Concurrency int
	OwnSlots    map[string]int
	// Types are the types that this worker serves. Nil is all that it has a handler for.
	Types []string
	// Lease is how long the worker's session lives without a heartbeat.
	Lease time.Duration
	// TaskTimeout bounds one attempt.
	TaskTimeout time.Duration
	// Drain is how long running handlers may go on after the worker was told to
	// stop.
	Drain time.Duration
	// Tracer makes the spans of attempts. Nil: there are none.
	Tracer trace.Tracer
}

// group names the workers that serve the same types: one of them watches for all.
func (c Config) group() string {
	if c.Types == nil {
		return "all"
	}
	h := fnv.New64a()
	for _, name := range slices.Sorted(slices.Values(c.Types)) {
		_, _ = h.Write([]byte(name + "|")) // a hash never fails
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// Worker is one worker node.
type Worker struct {
	store   Store
	index   Index
	types   Types
	lookup  Lookup
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	self     uuid.UUID // the name under which it claims
	slots    *slots
	lanes    chan struct{} // holds a token for each claim whose start is not committed
	finishes *groupcommit.Group[ending, struct{}]
	retries  chan struct{}  // holds a token for each statement that tries ends again
	tasks    sync.WaitGroup // everything between a claim and its end

	running running
	cancels chan struct{} // holds a token when there is something to cancel

	session sessionHolder
	// drained ends when the drain time is over, and every handler with it.
	drained context.Context //nolint:containedctx // it outlives Run's: handlers go on while the worker drains
	stop    context.CancelCauseFunc
}

var errDraining = errors.New("the worker is shutting down")

// New makes a worker. It registers its metrics with reg.
func New(store Store, index Index, types Types, lookup Lookup, cfg Config, log *slog.Logger, reg prometheus.Registerer) *Worker {
	w := &Worker{
		store: store, index: index, types: types, lookup: lookup, cfg: cfg, log: log.With("component", "worker"),
		self: uuid.New(), slots: newSlots(cfg.Concurrency, cfg.OwnSlots),
		lanes: make(chan struct{}, startLanes), retries: make(chan struct{}, retryLanes), cancels: make(chan struct{}, 1),
	}
	w.metrics = newMetrics(reg, w.executed)
	w.session.changed = make(chan struct{})
	w.finishes = groupcommit.New(groupcommit.Config[ending]{
		Items: finishBatch, Bytes: finishBytes, Lanes: finishLanes, MaxLanes: finishMaxLanes,
		Size: func(e ending) int { return len(e.end.Result) },
	}, w.flushEndings)
	w.drained, w.stop = context.WithCancelCause(context.Background())
	return w
}

// Run works until ctx ends, and then drains: it claims no more, lets running
// handlers end within the drain time, and settles what is left. It returns once
// nothing of it runs, but for handlers that ignore their context.
func (w *Worker) Run(ctx context.Context) error {
	defer w.stop(errDraining)
	sessionCtx, endSession := context.WithCancel(context.WithoutCancel(ctx))
	defer endSession()
	if err := w.register(ctx, sessionCtx); err != nil {
		return err
	}
	var heartbeat sync.WaitGroup
	heartbeat.Go(func() { w.keepSession(sessionCtx) })
	heartbeat.Go(func() { w.watchCancels(sessionCtx) })

	w.claimLoop(ctx)
	w.drain()
	endSession()
	heartbeat.Wait()
	w.endSession(context.WithoutCancel(ctx))
	return nil
}

// drain waits for the tasks in hand.
func (w *Worker) drain() {
	idle := make(chan struct{})
	go func() {
		w.tasks.Wait()
		close(idle)
	}()
	w.log.Info("draining", "running", w.slots.inUse())
	select {
	case <-idle:
		return
	case <-time.After(w.cfg.Drain):
	}
	w.log.Warn("drain time is over, running handlers are cancelled", "running", w.slots.inUse())
	w.stop(errDraining)
	select {
	case <-idle:
	case <-time.After(exitTimeout):
		w.log.Warn("handlers ignore their cancellation", "running", w.slots.inUse())
	}
}

// endSession tells Postgres that this worker is gone, so that no other worker has to
// wait for its lease, and settles what it leaves behind.
func (w *Worker) endSession(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exitTimeout)
	defer cancel()
	left, err := w.store.End(ctx, w.session.current().id)
	if err != nil {
		w.log.Warn("session was not ended, its lease has to run out", "error", err)
		return
	}
	if left.Failed > 0 || len(left.Retried) > 0 {
		w.log.Warn("tasks were left behind", "tasks_failed", left.Failed, "tasks_retried", len(left.Retried))
	}
	if err := w.index.IndexIn(ctx, left.Retried); err != nil {
		w.log.Warn("retried tasks are not indexed yet", "error", err)
	}
}
