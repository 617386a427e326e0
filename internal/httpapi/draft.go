package httpapi

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// decodeDraft reads the body and the key of POST /task, and lists everything
// that is wrong with them.
func (a *api) decodeDraft(ctx context.Context, body []byte, keys []string) (task.Draft, error) {
	var f faults
	members := a.newMembers(ctx, &f)
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
	ctx    context.Context // the request's
	faults *faults
	raw    []jsontext.Value
	// taskType is that of the draft, once it is read.
	taskType task.Type
}

func (a *api) newMembers(ctx context.Context, f *faults) *taskMembers {
	return &taskMembers{api: a, ctx: ctx, faults: f, raw: make([]jsontext.Value, len(taskFields))}
}

// take keeps a member. Of those with the same name the last one counts.
func (m *taskMembers) take(name []byte, value jsontext.Value) {
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
func (m *taskMembers) fill(draft *task.Draft) { m.fillAll(draft, "") }

// fillButTime is fill for a task whose time is not the client's.
func (m *taskMembers) fillButTime(draft *task.Draft) { m.fillAll(draft, "execution_time") }

func (m *taskMembers) fillAll(draft *task.Draft, but string) {
	m.taskType = task.Type{MaxAttempts: 1}
	for i := range taskFields {
		f := &taskFields[i]
		switch {
		case f.read == nil, f.name == but:
		case m.raw[i] == nil && f.required:
			m.faults.add(f.name, "is required")
		default:
			f.read(m, m.raw[i], draft)
		}
	}
}

// readType leaves the type empty if it is not declared.
func (m *taskMembers) readType(raw jsontext.Value, draft *task.Draft) {
	if raw.Kind() != '"' {
		m.faults.add("task_type", "must be a string")
		return
	}
	t, declared, err := m.api.reach.Find(m.ctx, string(unquote(raw)))
	if !declared {
		m.faults.undeclared("task_type", err)
		return
	}
	m.taskType, draft.Type = t, t.Name
}

// undeclared notes a type that is not declared, or cannot be looked for now.
func (f *faults) undeclared(field string, err error) {
	if err != nil {
		f.unsure = errUnavailable
	}
	f.add(field, "is not a type that is declared; GET /type lists those")
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

// readAttempts comes after the type, which has a number for those that name none.
func (m *taskMembers) readAttempts(raw jsontext.Value, draft *task.Draft) {
	if raw == nil {
		draft.MaxAttempts, draft.AttemptsByType = m.taskType.MaxAttempts, true
		return
	}
	draft.MaxAttempts = readCount(raw, "max_attempts", task.MaxAttemptsLimit, m.faults)
}

// readPayload comes after the type, which says what it must hold.
func (m *taskMembers) readPayload(raw jsontext.Value, draft *task.Draft) {
	if raw != nil && raw.Kind() != 'n' {
		if err := checkPayload(raw); err != nil {
			m.faults.add("payload", err.Error())
			return
		}
		draft.Payload = json.RawMessage(raw)
	}
	if draft.Type == "" {
		return
	}
	for _, fault := range m.api.validate(m.taskType, draft.Payload) {
		m.faults.add(fault.Field, fault.Message)
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
	refuseReserved(keyHeader, values[0], f)
	return values[0]
}

// refuseReserved notes a key of those that timewheel gives out itself.
func refuseReserved(field, key string, f *faults) {
	switch {
	case strings.HasPrefix(key, task.ScheduleKeys):
		f.add(field, "must not begin with "+task.ScheduleKeys+": such keys name the occurrences of schedules")
	case strings.HasPrefix(key, task.OnEndKeys):
		f.add(field, "must not begin with "+task.OnEndKeys+": such keys name the tasks that tell of an end")
	}
}

// shorten keeps a name that the client made up readable.
func shorten(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
