package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/task"
)

// newOperationSchema describes what POST /operation takes.
func newOperationSchema() *huma.Schema {
	at := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: description}
	}
	one, most := 1, task.MaxLabels
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"action", "filter"},
		Properties: map[string]*huma.Schema{
			"action": {Type: huma.TypeString, Enum: enum(task.Actions()), Description: "what is done with each task, as the single call of this name does it"},
			"filter": {
				Type: huma.TypeObject, AdditionalProperties: false, Description: "which tasks are picked: all of it must hold. An empty one needs all",
				Properties: map[string]*huma.Schema{
					"status":         {Type: huma.TypeString, Enum: enum(task.Statuses()), Description: "one that the action can be done with"},
					"type":           {Type: huma.TypeString, Description: "tasks of this type"},
					"label":          {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, MinItems: &one, MaxItems: &most, Description: "key:value, all of which a task must have", Examples: []any{[]string{"customer:42"}}},
					"due_after":      at("due then or later"),
					"due_before":     at("due earlier"),
					"created_after":  at("created then or later"),
					"created_before": at("created earlier"),
				},
			},
			"all":            {Type: huma.TypeBoolean, Description: "must be true with an empty filter, and with no other", Default: false},
			"execution_time": at("when the tasks are due; to reschedule, this or shift is required"),
			"shift":          property(durationSchema("how much later than before they are due, or earlier if it is negative; to reschedule", "-59m")),
			"dry_run":        {Type: huma.TypeBoolean, Description: "count, and change nothing", Default: false},
		},
	}
}

// Schema implements huma.SchemaProvider.
func (operationResponse) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: schemaPrefix + "Operation"}
}

func (d describer) createOperation() *huma.Operation {
	return &huma.Operation{
		OperationID: "create-operation", Method: http.MethodPost, Path: "/operation", Summary: "Act on all tasks that match",
		Description: "It is carried out in the background, within a second from now on, and survives the death of any node. Tasks that are created after this are not touched. " +
			"delete, reschedule, run and cancel look at open tasks, and retry at those that have failed or were deleted.",
		Parameters:  []*huma.Param{keyParam("Names this operation for the client: repeating the same request with it answers with the same operation."), requestIDParam()},
		RequestBody: body("NewOperation", map[string]any{"action": "delete", "filter": map[string]any{"label": []string{"customer:42"}}}),
		Responses: d.responses(http.StatusAccepted, "The operation is stored.", reflect.TypeFor[operationResponse](),
			map[string]*huma.Param{"Location": {Description: "the path of the operation", Schema: &huma.Schema{Type: huma.TypeString, Format: "uri-reference"}}},
			errMalformedJSON, errKeyReused, errTooLarge, errMediaType, errInvalid, errRejected, errTooManyOperations, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) getOperation() *huma.Operation {
	return &huma.Operation{
		OperationID: "get-operation", Method: http.MethodGet, Path: "/operation/{id}", Summary: "See how far an operation is",
		Parameters: []*huma.Param{operationParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The operation.", reflect.TypeFor[operationResponse](), nil,
			errInvalidID, errNoSuchOperation, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) listOperations() *huma.Operation {
	return &huma.Operation{
		OperationID: "list-operations", Method: http.MethodGet, Path: "/operation", Summary: "List the operations, newest first",
		Parameters: []*huma.Param{
			{Name: "before", In: "query", Description: "only those before this id: next_before of the answer before", Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"}},
			requestIDParam(),
		},
		Responses: d.responses(http.StatusOK, "At most 100 of them.", reflect.TypeFor[operationListed](), nil,
			errInvalid, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) stopOperation() *huma.Operation {
	return &huma.Operation{
		OperationID: "stop-operation", Method: http.MethodDelete, Path: "/operation/{id}", Summary: "Stop an operation",
		Description: "It changes nothing after this. What it has done stays. One that has ended stays as it is.",
		Parameters:  []*huma.Param{operationParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The operation.", reflect.TypeFor[operationResponse](), nil,
			errInvalidID, errNoSuchOperation, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func operationParam() *huma.Param {
	return &huma.Param{
		Name: "id", In: "path", Required: true, Description: "the operation's id",
		Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"},
	}
}
