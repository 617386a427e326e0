// Package httpapi is the REST contract. It reads requests, refuses what can
// never become a task, hands the rest to the scheduler and words the answers.
// Everything that is refused is refused as application/problem+json.
package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// Tasks is how the API changes tasks. Errors are those of package task; anything else is
// answered 500. Each call ends in bounded time by itself.
type Tasks interface {
	// Create names the draft, commits it and returns the task's id: that of
	// the earlier task if the draft's key is known.
	Create(ctx context.Context, draft task.Draft) (task.ID, error)
	// CreateBulk does so for all drafts or none, under one key, and returns
	// the ids in order. It may change the drafts.
	CreateBulk(ctx context.Context, key string, drafts []task.Draft) ([]task.ID, error)
	// Delete returns nil as well if the task was deleted before, and a
	// *task.StatusError if it has started or ended.
	Delete(ctx context.Context, id task.ID) error
	// Cancel deletes a task that has not started, and asks for the end of one that runs. A
	// *task.StatusError is for one that has ended.
	Cancel(ctx context.Context, id task.ID) (*task.Task, error)
	// Retry creates a task with the content of one that has failed or was deleted, or returns the
	// one that the key names. A *task.StatusError is for any other task.
	Retry(ctx context.Context, old task.ID, key string) (*task.Task, error)
	// Change makes of a task that has not started what decide says, which may be asked more than
	// once, and returns it. An error of decide is returned as it is.
	Change(ctx context.Context, id task.ID, decide func(*task.Task) (task.Change, error)) (*task.Task, error)
	// PutByKey creates the task of the draft's key or replaces the one that has not started, and
	// says whether it is new. What is open, or nil, is shown to allow, which may be asked more than
	// once. An error of allow is returned as it is.
	PutByKey(ctx context.Context, draft task.Draft, allow func(open *task.Task) error) (put *task.Task, created bool, err error)
	// DeleteByKey is Delete of the open task of a key, or else of the one that was created last.
	DeleteByKey(ctx context.Context, key string) (task.ID, error)
}

// Reader is how the API looks at tasks, with the same errors.
type Reader interface {
	Get(ctx context.Context, id task.ID) (*task.Task, error)
	// Attempts are those of one task, in order.
	Attempts(ctx context.Context, id task.ID) ([]task.Attempt, error)
	// GetByKey returns the open task of a key, or else the one that was created last.
	GetByKey(ctx context.Context, key string) (*task.Task, error)
	// List returns at most filter.Limit tasks in the order of the filter.
	List(ctx context.Context, filter task.Filter) (task.Page, error)
	Stats(ctx context.Context) (task.Stats, error)
}

// Types is how the API looks at task types and changes them. Errors are those of package
// task. Each call ends in bounded time by itself.
type Types interface {
	// Find knows the types that are declared; it may ask for one that it does not know. The
	// error is that of the question.
	Find(name string) (task.Type, bool, error)
	// Names are those of the types that are known.
	Names() []string
	GetType(ctx context.Context, name string) (task.Type, error)
	AllTypes(ctx context.Context) ([]task.Type, error)
	// PutType creates or replaces a type, and says whether it is new.
	PutType(ctx context.Context, t task.Type) (put task.Type, created bool, err error)
	DeleteType(ctx context.Context, name string) error
}

// Schedules is how the API looks at schedules and changes them, with the same errors. Where types
// are not nil, they are prefixes of the types of schedules: the others are not there.
type Schedules interface {
	// PutSchedule creates or replaces a schedule, and says whether it is new.
	PutSchedule(ctx context.Context, s task.Schedule, types []string) (put task.Schedule, created bool, err error)
	GetSchedule(ctx context.Context, name string) (task.Schedule, error)
	Schedules(ctx context.Context, after string, limit int, types []string) ([]task.Schedule, error)
	DeleteSchedule(ctx context.Context, name string, types []string) error
}

// Options of the API. All of them are required, but for Keys and Tracer.
type Options struct {
	Tasks  Tasks
	Reader Reader
	Types  Types

	Schedules Schedules

	Operations Operations
	// Keys, if it is not nil, says who may call. Without, everybody may.
	Keys Keys
	// Loopback says that only this machine reaches the API. Then, without Keys, it answers to
	// names of this machine and Hosts alone.
	Loopback bool
	Hosts    []string
	// Validate lists what is wrong with a payload, an object or nil, for a
	// task of a type.
	Validate func(taskType task.Type, payload json.RawMessage) []FieldError
	// CheckType lists what is wrong with a type beside the form of its members.
	CheckType func(task.Type) []FieldError
	Ready     telemetry.Ready
	Registry  *prometheus.Registry
	Log       *slog.Logger
	// Tracer makes the spans of requests. Nil: there are none.
	Tracer trace.Tracer
	// MaxInFlight is the most task requests in work at once.
	MaxInFlight int
}

type api struct {
	// reach is the tasks, types and schedules that a request may see.
	reach *reach
	keys  Keys
	// scopes has every route that there is.
	scopes map[route]access.Scopes

	validate func(task.Type, json.RawMessage) []FieldError

	checkDefinition func(task.Type) []FieldError

	log      *slog.Logger
	tracer   trace.Tracer
	duration *prometheus.HistogramVec
	// slots holds a token for each task request in work.
	slots chan struct{}
	// bodyBytes are taken by what has arrived of the bodies in work.
	bodyBytes *semaphore.Weighted
}

// New builds the API. It registers its metrics, so once a registry, and
// panics if they or the routes contradict each other.
func New(o Options) http.Handler {
	a := &api{
		reach: &reach{tasks: o.Tasks, reader: o.Reader, types: o.Types, schedules: o.Schedules, operations: o.Operations, asks: o.Keys != nil},
		keys:  o.Keys,

		validate: o.Validate,

		checkDefinition: o.CheckType,

		log:      o.Log,
		tracer:   o.Tracer,
		duration: newDuration(o.Registry),
		slots:    make(chan struct{}, o.MaxInFlight),

		bodyBytes: semaphore.NewWeighted(maxBodyBytes),
	}

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.HandleMethodNotAllowed = true
	router.RedirectTrailingSlash = false
	router.Use(a.observe)
	if a.keys != nil {
		router.Use(a.authorize)
	} else {
		router.Use(a.foreignPages(o.Loopback, o.Hosts))
	}
	router.NoRoute(a.answer(func(*gin.Context) error { return errNoSuchRoute }))
	router.NoMethod(a.answer(func(*gin.Context) error { return errMethodNotAllowed }))
	r := a.declare(router)

	r.open("/livez", gin.WrapF(telemetry.Livez))
	r.open("/readyz", gin.WrapH(telemetry.Readyz(o.Ready)))
	r.open("/metrics", gin.WrapH(telemetry.Metrics(o.Registry)))
	spec := describe(a.scopes)
	r.open("/openapi.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", spec) })
	return router
}

// declare declares the routes, each with the scope that it needs.
func (a *api) declare(router *gin.Engine) routes {
	a.scopes = map[route]access.Scopes{}
	r := routes{a, router}

	r.post("/task", access.Create, a.withBody(plainJSON, task.MaxPayload, errTooLarge, a.create))
	r.post("/task/batch", access.Create, a.withBody(plainJSON, maxBatchBody, errBatchTooLarge, a.createBulk))
	r.patch("/task/:id", access.Change, a.withBody(patchJSON, task.MaxPayload, errTooLarge, a.change))
	r.act("/task/:id/cancel", access.Change, a.cancel)
	r.act("/task/:id/retry", access.Change, a.retry)
	r.act("/task/:id/run", access.Change, a.run)
	r.put("/task/by-key/*key", access.Change, a.withBody(plainJSON, task.MaxPayload, errTooLarge, a.putByKey))
	r.get("/task/by-key/*key", access.Read, a.getByKey)
	r.delete("/task/by-key/*key", access.Change, a.deleteByKey)
	r.get("/task", access.Read, a.list)
	r.get("/task/:id", access.Read, a.get)
	r.get("/task/:id/attempts", access.Read, a.attempts)
	r.delete("/task/:id", access.Change, a.delete)

	r.put("/type/:name", access.Admin, a.withBody(plainJSON, maxTypeBody, errTooLarge, a.putType))
	r.get("/type", access.Read, a.listTypes)
	r.get("/type/:name", access.Read, a.getType)
	r.delete("/type/:name", access.Admin, a.deleteType)

	r.put("/schedule/:name", access.Change, a.withBody(plainJSON, maxTypeBody, errTooLarge, a.putSchedule))
	r.get("/schedule", access.Read, a.listSchedules)
	r.get("/schedule/:name", access.Read, a.getSchedule)
	r.get("/schedule/:name/next", access.Read, a.nextOfSchedule)
	r.delete("/schedule/:name", access.Change, a.deleteSchedule)

	r.post("/operation", access.Change, a.withBody(plainJSON, maxTypeBody, errTooLarge, a.createOperation))
	r.get("/operation", access.Read, a.listOperations)
	r.get("/operation/:id", access.Read, a.getOperation)
	r.delete("/operation/:id", access.Change, a.stopOperation)

	r.get("/stats", access.Read, a.stats)

	r.get("/key", access.Admin, a.listKeys)
	r.post("/key", access.Admin, a.withBody(plainJSON, maxKeyBody, errTooLarge, a.createKey))
	r.delete("/key/:id", access.Admin, a.revokeKey)
	r.get("/audit", access.Admin, a.listAudit)
	return r
}

// answer makes a gin handler of one that returns what went wrong.
func (a *api) answer(do func(*gin.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := do(c); err != nil {
			a.writeProblem(c, err)
		}
	}
}

// reply writes a JSON body.
func reply(c *gin.Context, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode response: %w", err)
	}
	c.Data(status, "application/json", encoded)
	return nil
}
