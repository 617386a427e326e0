package httpapi

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/task"
)

// typeSchema describes typeFields: as they are shown, with all of them, or as they are put.
func typeSchema(shown bool) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for _, f := range typeFields {
		property := f.schema
		s.Properties[f.name] = &property
		if shown {
			s.Required = append(s.Required, f.name)
		}
	}
	s.Properties["name"] = text(task.MaxTypeLength, `^[a-z][a-z0-9._-]{0,63}$`)
	if shown {
		s.Required = append(s.Required, "name")
	}
	return s
}

// Schema implements huma.SchemaProvider.
func (typeResponse) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: schemaPrefix + "Type"}
}

func (d describer) putType() *huma.Operation {
	operation := &huma.Operation{
		OperationID: "put-type", Method: http.MethodPut, Path: "/type/{name}", Summary: "Declare a task type, or replace it",
		Description: "What is not named has its default, but for the secrets of the webhook, which stay. The change is known to every node within a second. " +
			"After a 200 to paused nothing of the type starts.",
		Parameters:  []*huma.Param{nameParam(), requestIDParam()},
		RequestBody: body("NewType", map[string]any{"handler": "webhook", "webhook": map[string]any{"url": "https://billing.example/hooks"}, "timeout": "30s"}),
		Responses: d.responses(http.StatusOK, "The type as it is now.", reflect.TypeFor[typeResponse](), nil,
			errBound, errMalformedJSON, errTooManyTypes, errOlderWorkers, errTooLarge, errMediaType, errInvalid, errRejected, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
	operation.Responses["201"] = &huma.Response{Description: "The type is new.", Content: operation.Responses["200"].Content}
	return operation
}

func (d describer) getType() *huma.Operation {
	return &huma.Operation{
		OperationID: "get-type", Method: http.MethodGet, Path: "/type/{name}", Summary: "Look at a task type",
		Parameters: []*huma.Param{nameParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The type, without its secrets.", reflect.TypeFor[typeResponse](), nil,
			errNoSuchType, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) listTypes() *huma.Operation {
	return &huma.Operation{
		OperationID: "list-types", Method: http.MethodGet, Path: "/type", Summary: "List the task types",
		Parameters: []*huma.Param{requestIDParam()},
		Responses: d.responses(http.StatusOK, "All of them.", reflect.TypeFor[typeList](), nil,
			errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) deleteType() *huma.Operation {
	return &huma.Operation{
		OperationID: "delete-type", Method: http.MethodDelete, Path: "/type/{name}", Summary: "Delete a task type of which nothing is open",
		Parameters: []*huma.Param{nameParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "The type is no more.", reflect.TypeFor[deletedType](), nil,
			errNoSuchType, errTypeInUse, errTypeShips, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func nameParam() *huma.Param {
	return &huma.Param{
		Name: "name", In: "path", Required: true, Description: "the type's name",
		Schema: text(task.MaxTypeLength, `^[a-z][a-z0-9._-]{0,63}$`), Example: "invoice.send",
	}
}
