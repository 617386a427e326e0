package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/timewheel/timewheel/internal/task"
)

// newTask documents the body of POST /task. decodeDraft reads it by hand: that
// is what can list every fault at once, and tells a number that is no integer
// from one that is out of range.
type newTask struct {
	TaskType      string         `json:"task_type" doc:"what to execute" example:"foo"`
	ExecutionTime string         `json:"execution_time" format:"date-time" doc:"when to execute: RFC 3339 with a zone, of the years 0001 to 9999. Finer than a microsecond is rounded up. A time in the past is due at once." example:"2030-01-02T15:04:05.25+01:00"`
	Payload       map[string]any `json:"payload,omitempty" nullable:"true" doc:"what the task type needs; at most 64 levels deep, without U+0000 and lone surrogates, and with exponents of numbers within 308" example:"{\"duration\":\"1s\"}"`
	MaxAttempts   int            `json:"max_attempts,omitempty" minimum:"1" maximum:"100" default:"1" doc:"1 executes at most once. More executes at least once, again after a failure."`
}

// decodeDraft reads the body and the key of POST /task, and lists everything
// that is wrong with them.
func (a *api) decodeDraft(body []byte, keys []string) (task.Draft, error) {
	fields, err := splitObject(body)
	if err != nil {
		return task.Draft{}, err
	}
	draft := task.Draft{MaxAttempts: 1}
	var faults []FieldError
	fault := func(field, message string) { faults = append(faults, FieldError{field, message}) }

	typeKnown := false
	if raw, given := fields["task_type"]; !given {
		fault("task_type", "is required")
	} else if name, ok := decodeString(raw); !ok {
		fault("task_type", "must be a string")
	} else if typeKnown = slices.Contains(a.types, name); !typeKnown {
		fault("task_type", "is not known; there are "+strings.Join(a.types, ", "))
	} else {
		draft.Type = name
	}

	if raw, given := fields["execution_time"]; !given {
		fault("execution_time", "is required")
	} else if text, ok := decodeString(raw); !ok {
		fault("execution_time", "must be a string")
	} else if at, wrong := parseTime(text); wrong != "" {
		fault("execution_time", wrong)
	} else {
		draft.ExecutionTime = at
	}

	payload, wrong := payloadOf(fields["payload"])
	switch {
	case wrong != "":
		fault("payload", wrong)
	case typeKnown:
		draft.Payload = payload
		faults = append(faults, a.validate(draft.Type, payload)...)
	}

	if raw, given := fields["max_attempts"]; given {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 1 || n > task.MaxAttemptsLimit {
			fault("max_attempts", "must be a whole number from 1 to "+strconv.Itoa(task.MaxAttemptsLimit))
		}
		draft.MaxAttempts = int(n)
	}

	if len(keys) > 0 {
		draft.Key = keys[0]
		if len(keys) > 1 || !visible(draft.Key, task.MaxKeyLength) {
			fault(keyHeader, "must be one value of 1 to "+strconv.Itoa(task.MaxKeyLength)+" visible ASCII characters")
		}
	}

	for _, name := range unknownFields(fields) {
		fault(shorten(name), "is not known")
	}
	if err := invalidFields(faults); err != nil {
		return task.Draft{}, err
	}
	return draft, nil
}

// splitObject checks that the body is one JSON object in UTF-8, and splits it.
func splitObject(body []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, malformed("The body is not valid UTF-8.")
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, malformed("The body is empty.")
	}
	var fields map[string]json.RawMessage
	if trimmed[0] == '{' {
		if err := json.Unmarshal(body, &fields); err != nil {
			return nil, malformed("The body is not one JSON value: " + err.Error() + ".")
		}
		return fields, nil
	}
	if !json.Valid(body) {
		return nil, errMalformedJSON
	}
	return nil, invalidFields([]FieldError{{"body", "must be a JSON object"}})
}

func decodeString(raw json.RawMessage) (string, bool) {
	if raw[0] != '"' {
		return "", false
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

func unknownFields(fields map[string]json.RawMessage) []string {
	var unknown []string
	for name := range maps.Keys(fields) {
		switch name {
		case "task_type", "execution_time", "payload", "max_attempts":
		default:
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// shorten keeps a name that the client made up readable.
func shorten(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
