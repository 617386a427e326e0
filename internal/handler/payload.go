package handler

import (
	"encoding/json"
	"fmt"
	"strings"
)

// members splits a payload into its members. Names are matched exactly, as
// the store keeps them, which decoding into a struct does not do. A member
// that is null counts as not given.
func members(payload json.RawMessage) (map[string]json.RawMessage, []Problem) {
	if len(payload) == 0 {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, []Problem{{"payload", "must be a JSON object"}}
	}
	for name, value := range fields {
		if string(value) == "null" {
			delete(fields, name)
		}
	}
	return fields, nil
}

// text decodes a member that must be a string. It is empty if not given.
func text(fields map[string]json.RawMessage, name string) (string, []Problem) {
	raw, given := fields[name]
	if !given {
		return "", nil
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", []Problem{{"payload." + name, "must be a string"}}
	}
	return value, nil
}

// within names a member that the client made up, and no more of it than a
// reader needs.
func within(parent, name string) string {
	const most = 64
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	return parent + "." + name
}

// payloadError is what running a task with a bad payload ends in. The API
// refuses such payloads; one may still be there from before its type changed.
func payloadError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	sentences := make([]string, len(problems))
	for i, p := range problems {
		sentences[i] = p.Field + " " + p.Message
	}
	return fmt.Errorf("read payload: %s", strings.Join(sentences, "; "))
}
