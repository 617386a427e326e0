package httpapi

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// operationMembers is what POST /operation takes, as it comes in.
type operationMembers struct {
	faults
	o task.Operation
	// given are the members that were sent.
	given map[string]bool
	// empty is whether the filter has no members.
	all, empty bool
}

// decodeOperation reads an operation and lists everything that is wrong with it. It may act on every
// task that there is, so nothing is passed over: neither what is not known, nor null, nor a
// member that is sent twice, nor a filter that says nothing.
func (a *api) decodeOperation(ctx context.Context, query string, keys []string, body []byte) (task.Operation, error) {
	m := operationMembers{given: map[string]bool{}}
	m.o.Key = readKey(keys, &m.faults)
	if query != "" {
		m.add("query", "must be empty: what is asked for stands in the body")
	}
	err := readBody(body, func(name []byte, raw jsontext.Value) {
		if m.once(m.given, string(name), "") {
			a.readOperationMember(ctx, &m, string(name), raw)
		}
	})
	if err != nil {
		return m.o, err
	}
	m.check()
	return m.o, m.err()
}

// once notes that a member is there, and reports whether it is for the first time.
func (m *operationMembers) once(given map[string]bool, name, under string) bool {
	if given[name] {
		m.add(shorten(under+name), "is given more than once")
		return false
	}
	given[name] = true
	return true
}

func (a *api) readOperationMember(ctx context.Context, m *operationMembers, name string, raw jsontext.Value) {
	switch name {
	case "action":
		m.o.Action = task.Action(textOf(raw))
		if !m.o.Action.Valid() {
			m.add("action", "must be delete, reschedule, run, retry or cancel")
		}
	case "filter":
		a.readOperationFilter(ctx, m, raw)
	case "all":
		m.all = m.readBool("all", raw)
	case "dry_run":
		m.o.DryRun = m.readBool("dry_run", raw)
	case "execution_time":
		m.o.ExecutionTime = readBound(raw, "execution_time", &m.faults)
	case "shift":
		shift, ok := readDuration(raw, "shift", -task.MaxShift, task.MaxShift, &m.faults)
		if ok && (shift == 0 || shift%time.Microsecond != 0) {
			m.add("shift", "must be whole microseconds, and not 0")
		}
		m.o.Shift = &shift
	default:
		m.add(shorten(name), "is not known; there are action, filter, all, execution_time, shift and dry_run")
	}
}

func (m *operationMembers) readBool(name string, raw jsontext.Value) bool {
	if kind := raw.Kind(); kind != 't' && kind != 'f' {
		m.add(name, "must be true or false")
	}
	return raw.Kind() == 't'
}

// readOperationFilter reads the members of GET /task's query, with the labels in an array.
func (a *api) readOperationFilter(ctx context.Context, m *operationMembers, raw jsontext.Value) {
	if raw.Kind() != '{' {
		m.add("filter", "must be an object")
		return
	}
	values, given := url.Values{}, map[string]bool{}
	err := readMembers(newDecoder(raw), raw, func(member []byte, value jsontext.Value) {
		name := string(member)
		switch {
		case !m.once(given, name, "filter."):
		case !slices.Contains(filterNames, name):
			m.add("filter."+shorten(name), "is not known; there are "+enumerate(filterNames))
		case name == "label":
			values["label"] = m.readTexts(value)
		case value.Kind() != '"' || textOf(value) == "":
			m.add("filter."+name, "must be a text, and not empty")
		default:
			values.Set(name, textOf(value))
		}
	})
	if err != nil { // which the body's reader has found before
		m.add("filter", "is not one JSON value")
	}
	var inner faults
	m.o.Filter = a.readFilter(ctx, values, &inner)
	for _, fault := range inner.list {
		m.add("filter."+fault.Field, fault.Message)
	}
	if inner.unsure != nil {
		m.unsure = inner.unsure
	}
	m.empty = len(given) == 0
}

func (m *operationMembers) readTexts(raw jsontext.Value) (texts []string) {
	if raw.Kind() == '[' {
		readElements(raw, func(d *jsontext.Decoder) bool {
			value, err := d.ReadValue()
			if err != nil || value.Kind() != '"' {
				texts = nil
				return false
			}
			texts = append(texts, textOf(value))
			return true
		})
	}
	if len(texts) == 0 {
		m.add("filter.label", "must be an array of texts key:value, and not empty")
	}
	return texts
}

// check is for what members say about each other.
func (m *operationMembers) check() {
	if !m.given["action"] {
		m.add("action", "is required")
	}
	switch {
	case !m.given["filter"]:
		m.add("filter", "is required; {} together with all picks every task")
	case m.empty && !m.all:
		m.add("filter", "is empty, which picks every task: that needs all to be true")
	case !m.empty && m.all:
		m.add("all", "contradicts the filter")
	}
	m.checkTimes()
	if status := m.o.Filter.Status; m.o.Action.Valid() && status.Valid() && !slices.Contains(m.o.Action.Statuses(), status) {
		m.add("filter.status", fmt.Sprintf("must be %s: nothing else can be done with %s", joinStatuses(m.o.Action.Statuses()), m.o.Action))
	}
}

func (m *operationMembers) checkTimes() {
	at, shift := m.given["execution_time"], m.given["shift"]
	switch {
	case m.o.Action == task.ActionReschedule:
		if at == shift {
			m.add("execution_time", "or shift is required, and not both")
		}
	case at:
		m.add("execution_time", "is for reschedule alone")
	case shift:
		m.add("shift", "is for reschedule alone")
	}
}

func joinStatuses(statuses []task.Status) string {
	texts := make([]string, len(statuses))
	for i, status := range statuses {
		texts[i] = string(status)
	}
	return strings.Join(texts, " or ")
}

// showFilter is a filter as it is sent.
func showFilter(filter *task.Filter) map[string]any {
	shown := map[string]any{}
	for name, values := range filterQuery(filter) {
		if name == "label" {
			shown[name] = values
		} else {
			shown[name] = values[0]
		}
	}
	return shown
}
