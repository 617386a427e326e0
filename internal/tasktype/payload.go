package tasktype

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxOthers bounds what is said of members that nobody asked for.
const maxOthers = 100

// members finds those members of a payload that a type knows, and names the
// others, the first hundred of them. Names are matched exactly, as they are kept,
// which decoding into a struct does not do. Of members of one name the last one
// counts, and one that is null counts as not given. A payload may have tens of
// thousands of members: what is not asked for is skipped.
func members(payload json.RawMessage, known ...string) (fields map[string]json.RawMessage, others []string, problems []Problem) {
	if len(payload) == 0 {
		return nil, nil, nil
	}
	fail := []Problem{{"payload", "must be a JSON object"}}
	d := jsontext.NewDecoder(bytes.NewBuffer(payload), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, nil, fail
	}
	fields = map[string]json.RawMessage{}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, nil, fail
		}
		name := token.String()
		value, err := d.ReadValue()
		switch {
		case err != nil:
			return nil, nil, fail
		case !slices.Contains(known, name):
			if len(others) < maxOthers && value.Kind() != 'n' {
				others = append(others, name)
			}
		case value.Kind() == 'n':
			delete(fields, name)
		default:
			fields[name] = json.RawMessage(value.Clone())
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, fail
	}
	return fields, others, nil
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
