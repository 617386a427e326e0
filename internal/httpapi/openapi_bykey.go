package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/task"
)

func (d describer) putByKey() *huma.Operation {
	operation := &huma.Operation{
		OperationID: "put-task-by-key", Method: http.MethodPut, Path: "/task/by-key/{key}", Summary: "Create the task of a key, or replace it before it starts",
		Description: "What is not named has its default. After a 200 nothing of the task as it was runs any more. While the task runs the answer is 409, and " +
			"once it has ended the key is free. Attempts that were made stay counted, and max_attempts come on top of them.",
		Parameters: []*huma.Param{keyPathParam(), {
			Name: matchHeader, In: "header", Example: `"pWZ3kcAcZ2vVdYVZgNQ1ug"`,
			Description: "a list of entity tags, or *: a task is replaced only if its ETag is one of them, and none is created",
			Schema:      &huma.Schema{Type: huma.TypeString},
		}, {
			Name: noneMatchHeader, In: "header", Example: "*",
			Description: "*: a task is created only, and none is replaced", Schema: &huma.Schema{Type: huma.TypeString},
		}, requestIDParam()},
		RequestBody: body("NewTask", exampleTask()),
		Responses: d.responses(http.StatusOK, "The task as it is now.", reflect.TypeFor[taskResponse](), etagHeader(),
			errMalformedJSON, errNotFound, errConflict, errPrecondition, errTooLarge, errMediaType, errInvalid, errUndeclared, errRejected,
			errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
	created := *operation.Responses["200"]
	created.Description = "The task is new."
	created.Headers = map[string]*huma.Param{
		"ETag":     created.Headers["ETag"],
		"Location": {Description: "the path of the task", Schema: &huma.Schema{Type: huma.TypeString, Format: "uri-reference"}},
	}
	operation.Responses["201"] = &created
	return operation
}

func (d describer) getByKey() *huma.Operation {
	return &huma.Operation{
		OperationID: "get-task-by-key", Method: http.MethodGet, Path: "/task/by-key/{key}", Summary: "Look at the task of a key",
		Description: "The one that is open, or else the one that was created last.",
		Parameters:  []*huma.Param{keyPathParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The task.", reflect.TypeFor[taskResponse](), etagHeader(),
			errInvalid, errNotFound, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) deleteByKey() *huma.Operation {
	return &huma.Operation{
		OperationID: "delete-task-by-key", Method: http.MethodDelete, Path: "/task/by-key/{key}", Summary: "Delete the task of a key before it starts",
		Parameters: []*huma.Param{keyPathParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The task will not execute. Asking again answers the same.", reflect.TypeFor[deleted](), nil,
			errInvalid, errNotFound, errConflict, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func keyPathParam() *huma.Param {
	return &huma.Param{
		Name: "key", In: "path", Required: true, Example: "order-7731-reminder",
		Description: "the client's name of the task. A slash may be sent as it is or as %2F. Keys that begin with schedule/ or on_end/ cannot be put.",
		Schema:      text(task.MaxKeyLength, `^[!-~]+$`),
	}
}
