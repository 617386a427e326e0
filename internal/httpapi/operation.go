package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// operationList is how many operations one answer lists.
const operationList = 100

var (
	errNoSuchOperation   = newProblem(404, "no_such_operation", "There is no operation of this id.")
	errTooManyOperations = newTransient(429, "too_many_operations", "As many operations wait and run as may. Repeat the request when one of them has ended.")
)

// Operations is how the API looks at operations and changes them. Errors are those of package
// task.
type Operations interface {
	// CreateOperation stores an operation that is carried out later, or returns the one that its
	// key names.
	CreateOperation(ctx context.Context, o task.Operation) (task.Operation, error)
	GetOperation(ctx context.Context, id uuid.UUID) (task.Operation, error)
	// Operations are those before an id, newest first, within these prefixes of types.
	Operations(ctx context.Context, before uuid.UUID, limit int, types []string) ([]task.Operation, error)
	// StopOperation returns the operation, which changes nothing after that.
	StopOperation(ctx context.Context, id uuid.UUID) (task.Operation, error)
}

// operationResponse is an operation as answers show it.
type operationResponse struct{ o *task.Operation }

// MarshalJSON writes what was asked for, and what it has come to.
func (r operationResponse) MarshalJSON() ([]byte, error) {
	o := r.o
	filter := showFilter(&o.Filter)
	shown := operationShown{
		ID: o.ID.String(), Action: o.Action, Filter: filter, All: len(filter) == 0, ExecutionTime: timeOrNil(o.ExecutionTime),
		DryRun: o.DryRun, State: o.State, Done: o.Done, Skipped: o.Skipped, Left: o.Left, Samples: []skipShown{},
		CreatedAt: formatTime(o.CreatedAt), StartedAt: timeOrNil(o.StartedAt), FinishedAt: timeOrNil(o.FinishedAt),
	}
	if o.Shift != nil {
		shift := formatDuration(*o.Shift)
		shown.Shift = &shift
	}
	if o.Failure != "" {
		shown.Failure = &o.Failure
	}
	for _, s := range o.Samples {
		shown.Samples = append(shown.Samples, skipShown{s.ID.String(), s.Reason})
	}
	return json.Marshal(shown)
}

type operationShown struct {
	ID            string              `json:"operation_id" format:"uuid" doc:"names the operation" example:"0197b6b2-1f5a-7c3e-9a61-2f4f5d8f6f10"`
	Action        task.Action         `json:"action" enum:"delete,reschedule,run,retry,cancel" doc:"what is done with each task"`
	Filter        map[string]any      `json:"filter" doc:"which tasks are picked"`
	All           bool                `json:"all" doc:"the filter is empty"`
	ExecutionTime *string             `json:"execution_time" format:"date-time" doc:"when the tasks are due that are rescheduled, or null"`
	Shift         *string             `json:"shift" doc:"how much later than before they are due, or null" example:"-59m"`
	DryRun        bool                `json:"dry_run" doc:"it counts, and changes nothing"`
	State         task.OperationState `json:"state" enum:"waiting,running,done,stopped,failed" doc:"where it is in its life; the last three are final"`
	Done          int64               `json:"done" doc:"how many tasks the action was done with"`
	Skipped       int64               `json:"skipped" doc:"with how many that matched it could not be done"`
	Left          *int64              `json:"left" doc:"how many are still to be looked at, or null: that is not known before the last few thousand"`
	Samples       []skipShown         `json:"samples" nullable:"false" doc:"some of those that were skipped, at most 10"`
	Failure       *string             `json:"failure" doc:"why it failed, or null"`
	CreatedAt     string              `json:"created_at" format:"date-time" doc:"when it was asked for; what was created since is not touched"`
	StartedAt     *string             `json:"started_at" format:"date-time" doc:"when it began, or null"`
	FinishedAt    *string             `json:"finished_at" format:"date-time" doc:"when it ended, or null"`
}

type skipShown struct {
	TaskID string `json:"task_id" format:"uuid" doc:"the task"`
	Reason string `json:"reason" doc:"its status, or changed, not_after, out_of_range, older_workers, undeclared_type, gone" example:"started_executing"`
}

// operationListed is the answer to GET /operation.
type operationListed struct {
	Operations []operationResponse `json:"operations" nullable:"false" doc:"newest first"`
	Next       *string             `json:"next_before" doc:"ask for those before this id, or null if there are no more"`
}

// createOperation answers POST /operation with this body.
func (a *api) createOperation(c *gin.Context, body []byte) error {
	o, err := a.decodeOperation(c.Request.Context(), c.Request.URL.RawQuery, c.Request.Header[keyHeader], body)
	if err != nil {
		return err
	}
	if o.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	o, err = a.reach.CreateOperation(c.Request.Context(), o)
	if err != nil {
		return err
	}
	c.Header("Location", "/operation/"+o.ID.String())
	return reply(c, http.StatusAccepted, operationResponse{&o})
}

// getOperation answers GET /operation/<id>.
func (a *api) getOperation(c *gin.Context) error {
	return a.oneOperation(c, a.reach.GetOperation)
}

// stopOperation answers DELETE /operation/<id>.
func (a *api) stopOperation(c *gin.Context) error {
	return a.oneOperation(c, a.reach.StopOperation)
}

func (a *api) oneOperation(c *gin.Context, do func(context.Context, uuid.UUID) (task.Operation, error)) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	o, err := do(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, operationResponse{&o})
}

// listOperations answers GET /operation.
func (a *api) listOperations(c *gin.Context) error {
	before := uuid.Max
	for name, values := range c.Request.URL.Query() {
		if name != "before" || len(values) != 1 {
			return invalidFields(FieldError{shorten(name), "is not known, or given more than once; there is before"})
		}
		var err error
		if before, err = parseID(values[0]); err != nil {
			return invalidFields(FieldError{"before", "is not the id of an operation"})
		}
	}
	all, err := a.reach.Operations(c.Request.Context(), before, operationList+1)
	if err != nil {
		return err
	}
	body := operationListed{Operations: []operationResponse{}}
	if len(all) > operationList {
		all = slices.Clip(all[:operationList])
		next := all[operationList-1].ID.String()
		body.Next = &next
	}
	for i := range all {
		body.Operations = append(body.Operations, operationResponse{&all[i]})
	}
	return reply(c, http.StatusOK, body)
}
