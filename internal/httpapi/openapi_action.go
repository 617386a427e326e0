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

func (d describer) retryTask() *huma.Operation {
	headers := etagHeader()
	headers["Location"] = locationHeader()
	return &huma.Operation{
		OperationID: "retry-task", Method: http.MethodPost, Path: "/task/{id}/retry", Summary: "Create a task like one that has failed or was deleted",
		Description: "The new task has the same content, is due now, and names the old one as retry_of, which stays as it ended. " +
			"Without an Idempotency-Key, a repeated request makes a second task. The key of the old task is not taken over.",
		Parameters: []*huma.Param{idParam(), keyParam("Names the new task for the client: repeating the same request with it answers with the same task, or with 409 once that was deleted."), requestIDParam()},
		Responses: d.responses(http.StatusCreated, "The new task.", reflect.TypeFor[taskResponse](), headers,
			errMalformedJSON, errInvalidID, errNotFound, errNotRetried, errKeyReused, errKeyDeleted, errInvalid, errUndeclared, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) listAttempts() *huma.Operation {
	return &huma.Operation{
		OperationID: "list-attempts", Method: http.MethodGet, Path: "/task/{id}/attempts", Summary: "List the attempts of a task",
		Description: "All that were started, also the one that runs. They are kept with the task.",
		Parameters:  []*huma.Param{idParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The attempts.", reflect.TypeFor[attemptList](), nil,
			errInvalidID, errNotFound, errOverloaded, errInternal, errUnavailable),
	}
}
