package httpapi

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

// The parsers, for tables and fuzzing.
var (
	ParseTime = parseTime
	ParseEnd  = parseEnd
)

// EncodeCursor names a place in the list of a filter.
func EncodeCursor(filter task.Filter, place task.Place) string { return encodeCursor(&filter, place) }

// DecodeCursor reads a cursor of the list of a filter.
func DecodeCursor(cursor string, filter task.Filter) (task.Place, error) {
	return decodeCursor(cursor, &filter)
}

// CheckPayload checks a value that is valid JSON.
func CheckPayload(raw string) error { return checkPayload(jsontext.Value(raw)) }

// The bounds of a batch, for tests of them.
const (
	MaxBatch     = maxBatch
	MaxBatchBody = maxBatchBody
	MaxBodyBytes = maxBodyBytes
)

// Declared are types by their names alone, which nobody changes.
type Declared []string

// Find finds a name.
func (d Declared) Find(name string) (task.Type, bool, error) {
	return task.Type{Name: name, MaxAttempts: 1}, slices.Contains(d, name), nil
}

// Names are all of them.
func (d Declared) Names() []string { return d }

// GetType finds nothing.
func (d Declared) GetType(context.Context, string) (task.Type, error) {
	return task.Type{}, task.ErrNoSuchType
}

// AllTypes finds nothing.
func (d Declared) AllTypes(context.Context) ([]task.Type, error) { return nil, nil }

// PutType changes nothing.
func (d Declared) PutType(_ context.Context, t task.Type) (task.Type, bool, error) {
	return t, true, nil
}

// DeleteType finds nothing.
func (d Declared) DeleteType(context.Context, string) error { return task.ErrNoSuchType }

func apiOf(types []string) *api {
	return &api{
		reach:           &reach{types: Declared(types)},
		validate:        func(task.Type, json.RawMessage) []FieldError { return nil },
		checkDefinition: func(task.Type) []FieldError { return nil },
	}
}

// ParseFilter reads a query on an API of these types.
func ParseFilter(types []string, query string) (task.Filter, error) {
	return apiOf(types).parseFilter(context.Background(), query)
}

// DecodeDraft reads a body on an API of these types.
func DecodeDraft(types []string, body []byte, keys []string) (task.Draft, error) {
	return apiOf(types).decodeDraft(context.Background(), body, keys)
}

// DecodeBatch reads the body of a batch on an API of these types.
func DecodeBatch(types []string, body []byte) ([]task.Draft, error) {
	_, drafts, err := apiOf(types).decodeBatch(context.Background(), body, nil)
	return drafts, err
}

// DecodeType reads the body of a type.
func DecodeType(name string, body []byte) (task.Type, error) {
	return apiOf(nil).decodeType(name, body)
}

// ShowType is a type as answers show it.
func ShowType(t task.Type) any { return typeResponse{&t} }

// FieldsOf are the members that a problem names.
func FieldsOf(err error) (fields []string) {
	p := problemOf(err)
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	return fields
}

// MergePatch merges two values that are valid JSON.
func MergePatch(target, patch string) string {
	return string(mergePatch(jsontext.Value(target), jsontext.Value(patch)))
}

// DecodeSchedule reads the body of a schedule on an API that knows the type foo.
func DecodeSchedule(name string, body []byte) (task.Schedule, error) {
	return apiOf([]string{"foo"}).decodeSchedule(context.Background(), name, body)
}

// Scopes are the routes that are declared, as method and path, and the scope of each.
func Scopes() map[[2]string]access.Scopes {
	a := &api{}
	a.declare(gin.New())
	scopes := map[[2]string]access.Scopes{}
	for r, scope := range a.scopes {
		scopes[[2]string{r.method, r.path}] = scope
	}
	return scopes
}

// Describe makes the OpenAPI document.
func Describe() []byte {
	a := &api{}
	a.declare(gin.New())
	return describe(a.scopes)
}
