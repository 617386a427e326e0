package httpapi

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// The parsers, for tables and fuzzing.
var (
	EncodeCursor = encodeCursor
	DecodeCursor = decodeCursor
	ParseTime    = parseTime
	Describe     = describe
)

// CheckPayload checks a value that is valid JSON.
func CheckPayload(raw string) error { return checkPayload(jsontext.Value(raw)) }

// The bounds of a batch, for tests of them.
const (
	MaxBatch     = maxBatch
	MaxBatchBody = maxBatchBody
	MaxBodyBytes = maxBodyBytes
)

// ParseFilter reads a query on an API of these types.
func ParseFilter(types []string, query string) (task.Filter, error) {
	return (&api{types: types}).parseFilter(query)
}

// DecodeDraft reads a body on an API of these types.
func DecodeDraft(types []string, body []byte, keys []string) (task.Draft, error) {
	a := &api{types: types, validate: func(string, json.RawMessage) []FieldError { return nil }}
	return a.decodeDraft(body, keys)
}

// DecodeBatch reads the body of a batch on an API of these types.
func DecodeBatch(types []string, body []byte) ([]task.Draft, error) {
	a := &api{types: types, validate: func(string, json.RawMessage) []FieldError { return nil }}
	_, drafts, err := a.decodeBatch(body, nil)
	return drafts, err
}
