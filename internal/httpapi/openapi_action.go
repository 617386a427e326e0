package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

func (d describer) runTask() *huma.Operation {
	return &huma.Operation{
		OperationID: "run-task", Method: http.MethodPost, Path: "/task/{id}/run", Summary: "Run a task now that has not started",
		Description: "It is due now, and its lateness counts from now.",
		Parameters:  []*huma.Param{idParam(), matchParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The task as it is now.", reflect.TypeFor[taskResponse](), etagHeader(),
			errMalformedJSON, errInvalidID, errNotFound, errConflict, errPrecondition, errInvalid, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) cancelTask() *huma.Operation {
	o := &huma.Operation{
		OperationID: "cancel-task", Method: http.MethodPost, Path: "/task/{id}/cancel", Summary: "Cancel a task, also one that runs",
		Description: "One that has not started is deleted. The handler of one that runs is told to end within a second: " +
			"the task becomes failed with the code cancelled when it has ended, or as the handler says if that was faster. It is not attempted again in any case. " +
			"A handler that does not listen is given up two seconds later.",
		Parameters: []*huma.Param{idParam(), requestIDParam()},
		Responses: d.responses(http.StatusAccepted, "The task runs, and is to be cancelled. Asking again answers the same.", reflect.TypeFor[taskResponse](), etagHeader(),
			errMalformedJSON, errInvalidID, errNotFound, errConflict, errOlderWorkers, errInvalid, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
	for status, response := range d.responses(http.StatusOK, "The task had not started, and will not execute.", reflect.TypeFor[deleted](), nil) {
		o.Responses[status] = response
	}
	return o
}
