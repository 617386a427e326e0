package httpapi

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// decodeDraft reads the body and the key of POST /task, and lists everything
// that is wrong with them.
func (a *api) decodeDraft(body []byte, keys []string) (task.Draft, error) {
	var f faults
	members := a.newMembers(&f)
	if err := readBody(body, members.take); err != nil {
		return task.Draft{}, err
	}
	var draft task.Draft
	members.fill(&draft)
	draft.Key = readKey(keys, &f)
	if err := f.err(); err != nil {
		return task.Draft{}, err
	}
	return draft, nil
}

// taskMembers are the members of a task that is being read, by their place in
// taskFields.
type taskMembers struct {
	api    *api
	faults *faults
	raw    []jsontext.Value
}

func (a *api) newMembers(f *faults) taskMembers {
	return taskMembers{api: a, faults: f, raw: make([]jsontext.Value, len(taskFields))}
}

// take keeps a member. Of those with the same name the last one counts.
func (m taskMembers) take(name []byte, value jsontext.Value) {
	for i := range taskFields {
		if taskFields[i].name == string(name) && taskFields[i].read != nil {
			m.raw[i] = value
			return
		}
	}
	m.faults.add(shorten(string(name)), "is not known")
}

// fill puts what the members say into an empty draft. The draft's payload is a part of
// the body.
func (m taskMembers) fill(draft *task.Draft) {
	for i := range taskFields {
		f := &taskFields[i]
		switch {
		case f.read == nil:
		case m.raw[i] == nil && f.required:
			m.faults.add(f.name, "is required")
		default:
			f.read(m.api, m.raw[i], draft, m.faults)
		}
	}
}

// readType is empty if the type is not known.
func (a *api) readType(raw jsontext.Value, f *faults) string {
	if raw.Kind() != '"' {
		f.add("task_type", "must be a string")
		return ""
	}
	given := unquote(raw)
	for _, known := range a.types {
		if known == string(given) {
			return known
		}
	}
	f.add("task_type", "is not known; there are "+strings.Join(a.types, ", "))
	return ""
}

func readTime(raw jsontext.Value, f *faults) time.Time {
	if raw.Kind() != '"' {
		f.add("execution_time", "must be a string")
		return time.Time{}
	}
	at, err := parseTime(textOf(raw))
	if err != nil {
		f.add("execution_time", err.Error())
	}
	return at
}

func readAttempts(raw jsontext.Value, f *faults) int {
	if raw == nil {
		return 1
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 1 || n > task.MaxAttemptsLimit {
		f.add("max_attempts", "must be a whole number from 1 to "+strconv.Itoa(task.MaxAttemptsLimit))
	}
	return int(n)
}

// readPayload comes after the type, which says what it must hold.
func (a *api) readPayload(raw jsontext.Value, draft *task.Draft, f *faults) {
	if raw != nil && raw.Kind() != 'n' {
		if err := checkPayload(raw); err != nil {
			f.add("payload", err.Error())
			return
		}
		draft.Payload = json.RawMessage(raw)
	}
	if draft.Type == "" {
		return
	}
	for _, fault := range a.validate(draft.Type, draft.Payload) {
		f.add(fault.Field, fault.Message)
	}
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
