package postgres

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// sameJSON reports whether two payloads are the same value: regardless of the order of
// members and the space between them, but with each number as it was written. Nil
// is no payload.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	left, ok := decodeExactly(a)
	right, ok2 := decodeExactly(b)
	return ok && ok2 && reflect.DeepEqual(left, right)
}

func decodeExactly(raw json.RawMessage) (value any, ok bool) {
	if raw == nil {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	err := decoder.Decode(&value)
	return value, err == nil
}
