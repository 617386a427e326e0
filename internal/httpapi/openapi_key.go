package httpapi

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/timewheel/timewheel/internal/access"
)

// keyScheme is how the document calls that keys are asked for.
const keyScheme = "key"

// secure says which scope an operation needs, and how it is refused.
func (d describer) secure(operation *huma.Operation, scopes map[route]access.Scopes) {
	scope := scopes[route{operation.Method, strings.NewReplacer("{key}", "*key", "{", ":", "}", "").Replace(operation.Path)}]
	if scope == access.Open {
		return
	}
	operation.Security = []map[string][]string{{keyScheme: scope.Names()}, {}}
	d.addProblems(operation.Responses, errNoKey, errForbidden, errCrossOrigin, errMisdirected, errUnavailable)
}

func newKeySchema() *huma.Schema {
	least, names := 1, []any{}
	for _, name := range access.ScopeNames() {
		names = append(names, name)
	}
	most := access.MaxTypes
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"name", "scopes"},
		Properties: map[string]*huma.Schema{
			"name": text(access.MaxName, ""),
			"scopes": {
				Type: huma.TypeArray, MinItems: &least, Items: &huma.Schema{Type: huma.TypeString, Enum: names},
				Description: "what it permits",
			},
			"types": {
				Type: huma.TypeArray, Nullable: true, MaxItems: &most, Items: text(64, `^[a-z][a-z0-9._-]{0,63}$`),
				Description: "how the names of the types begin that it reaches; all types, if there are none",
			},
			"expires_in": {Type: huma.TypeString, Nullable: true, Description: "how long it is good, in days or as other durations; for ever, if it is not sent", Examples: []any{"90d", "12h"}},
		},
	}
}

func (d describer) createKey() *huma.Operation {
	return &huma.Operation{
		OperationID: "create-key", Method: http.MethodPost, Path: "/key", Summary: "Make a key",
		Description: "The answer is the only place where the key stands. A key that is bound to types makes no key that permits more.",
		Parameters:  []*huma.Param{requestIDParam()},
		RequestBody: body("NewKey", map[string]any{"name": "ci", "scopes": []any{"create", "read"}, "types": []any{"billing."}, "expires_in": "90d"}),
		Responses: d.responses(http.StatusCreated, "The key is good.", reflect.TypeFor[keyShown](),
			map[string]*huma.Param{"Location": {Description: "the path of the key", Schema: &huma.Schema{Type: huma.TypeString, Format: "uri-reference"}}},
			errBeyond, errAuthOff, errMalformedJSON, errTooManyKeys, errTooLarge, errMediaType, errInvalid, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) listKeys() *huma.Operation {
	return &huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/key", Summary: "List the keys",
		Description: "Those that were revoked or have expired are listed for as long as ended tasks are kept.",
		Parameters:  []*huma.Param{requestIDParam()},
		Responses: d.responses(http.StatusOK, "The keys, without their texts.", reflect.TypeFor[keyList](), nil,
			errAuthOff, errOverloaded, errInternal, errUnavailable),
	}
}

func (d describer) revokeKey() *huma.Operation {
	return &huma.Operation{
		OperationID: "revoke-key", Method: http.MethodDelete, Path: "/key/{id}", Summary: "Revoke a key",
		Description: "It takes a second, after which no node accepts the key.",
		Parameters:  []*huma.Param{idParam(), requestIDParam()},
		Responses: d.responses(http.StatusOK, "No node accepts the key. Asking again answers the same.", reflect.TypeFor[revokedKey](), nil,
			errAuthOff, errInvalidID, errNoSuchKey, errOverloaded, errInternal, errUnavailable, errOutcomeUnknown),
	}
}

func (d describer) listAudit() *huma.Operation {
	low, high := 1.0, float64(maxEvents)
	return &huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/audit", Summary: "What was changed with keys, newest first",
		Description: "Every change but creates and the work of lease clients, and every refusal for want of a scope. It needs a key that is not bound to types.",
		Parameters: []*huma.Param{
			{Name: "limit", In: "query", Description: "the most events to show", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high, Default: defaultEvents}},
			{Name: "cursor", In: "query", Description: "next_cursor of the page before", Schema: &huma.Schema{Type: huma.TypeString}},
			requestIDParam(),
		},
		Responses: d.responses(http.StatusOK, "One page.", reflect.TypeFor[auditPage](), nil,
			errAuthOff, errBound, errInvalidCursor, errInvalid, errOverloaded, errInternal, errUnavailable),
	}
}
