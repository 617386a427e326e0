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
