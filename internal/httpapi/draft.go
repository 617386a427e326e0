package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/timewheel/timewheel/internal/task"
)

// newTask documents the body of POST /task. readTask reads it by hand: that
// is what can list every fault at once, and tells a number that is no integer
// from one that is out of range.
type newTask struct {
	TaskType      string         `json:"task_type" doc:"what to execute" example:"foo"`
	ExecutionTime string         `json:"execution_time" format:"date-time" doc:"when to execute: RFC 3339 with a zone, of the years 0001 to 9999. Finer than a microsecond is rounded up. A time in the past is due at once." example:"2030-01-02T15:04:05.25+01:00"`
	Payload       map[string]any `json:"payload,omitempty" nullable:"true" doc:"what the task type needs, kept byte by byte; at most 64 levels deep, without U+0000 and lone surrogates, and with numbers of at most 1000 digits and exponents within 308" example:"{\"duration\":\"1s\"}"`
	MaxAttempts   int            `json:"max_attempts,omitempty" minimum:"1" maximum:"100" default:"1" doc:"1 executes at most once. More executes at least once, again after a failure."`
}

// decodeDraft reads the body and the key of POST /task, and lists everything
// that is wrong with them.
func (a *api) decodeDraft(body []byte, keys []string) (task.Draft, error) {
	object, err := checkObject(body)
	if err != nil {
		return task.Draft{}, err
	}
	var f faults
	draft := a.readTask(object, &f)
	draft.Key = readKey(keys, &f)
	if err := f.err(); err != nil {
		return task.Draft{}, err
	}
	return draft, nil
}

// checkObject finds the body to be one JSON object in UTF-8, and returns it
// without the space before it.
func checkObject(body []byte) ([]byte, error) {
	if !utf8.Valid(body) {
		return nil, malformed("The body is not valid UTF-8.")
	}
	object := bytes.TrimLeft(body, " \t\r\n")
	if len(object) == 0 {
		return nil, malformed("The body is empty.")
	}
	if !json.Valid(object) {
		var value json.RawMessage
		err := json.Unmarshal(object, &value) // says what is wrong
		return nil, malformed(fmt.Sprintf("The body is not one JSON value: %v.", err))
	}
	if object[0] != '{' {
		return nil, invalidFields(FieldError{"body", "must be a JSON object"})
	}
	return object, nil
}

// readTask reads a task from an object. Of members with the same name the last
// one counts. The draft's payload is a part of the object.
func (a *api) readTask(object []byte, f *faults) task.Draft {
	var name, at, payload, attempts json.RawMessage
	for member, value := range members(object) {
		switch string(member) {
		case "task_type":
			name = value
		case "execution_time":
			at = value
		case "payload":
			payload = value
		case "max_attempts":
			attempts = value
		default:
			f.add(shorten(string(member)), "is not known")
		}
	}
	draft := task.Draft{Type: a.readType(name, f), ExecutionTime: readTime(at, f), MaxAttempts: readAttempts(attempts, f)}
	var wrong string
	if draft.Payload, wrong = payloadOf(payload); wrong != "" {
		f.add("payload", wrong)
	} else if draft.Type != "" {
		for _, fault := range a.validate(draft.Type, draft.Payload) {
			f.add(fault.Field, fault.Message)
		}
	}
	return draft
}

// readType is empty if the type is not known.
func (a *api) readType(raw json.RawMessage, f *faults) string {
	switch {
	case raw == nil:
		f.add("task_type", "is required")
		return ""
	case raw[0] != '"':
		f.add("task_type", "must be a string")
		return ""
	}
	given := textOf(raw)
	for _, known := range a.types {
		if known == string(given) {
			return known
		}
	}
	f.add("task_type", "is not known; there are "+strings.Join(a.types, ", "))
	return ""
}

func readTime(raw json.RawMessage, f *faults) time.Time {
	switch {
	case raw == nil:
		f.add("execution_time", "is required")
		return time.Time{}
	case raw[0] != '"':
		f.add("execution_time", "must be a string")
		return time.Time{}
	}
	at, wrong := parseTime(string(textOf(raw)))
	if wrong != "" {
		f.add("execution_time", wrong)
	}
	return at
}

func readAttempts(raw json.RawMessage, f *faults) int {
	if raw == nil {
		return 1
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 1 || n > task.MaxAttemptsLimit {
		f.add("max_attempts", "must be a whole number from 1 to "+strconv.Itoa(task.MaxAttemptsLimit))
	}
	return int(n)
}

// readKey reads the values of the header Idempotency-Key. It is empty if there
// are none.
func readKey(values []string, f *faults) string {
	if len(values) == 0 {
		return ""
	}
	if len(values) > 1 || !visible(values[0], task.MaxKeyLength) {
		f.add(keyHeader, "must be one value of 1 to "+strconv.Itoa(task.MaxKeyLength)+" visible ASCII characters")
	}
	return values[0]
}

// shorten keeps a name that the client made up readable.
func shorten(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
