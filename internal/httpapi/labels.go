package httpapi

import (
	"errors"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

var labelsField = taskField{
	name: "labels",
	schema: huma.Schema{
		Type: huma.TypeObject, Examples: []any{map[string]any{"customer": "42"}},
		AdditionalProperties: &huma.Schema{Type: huma.TypeString},
		Description: "what the task is found by: at most 16, with keys of 1 to 63 characters of A-Z, a-z, 0-9, '.', '_', '/' and '-', " +
			"and values of at most 255 bytes without U+0000",
	},
	read: (*taskMembers).readLabels, patch: (*taskPatch).readLabels, nullable: true,
	show: func(t *task.Task) any {
		if t.Labels == nil {
			return nil
		}
		return t.Labels.Map()
	},
}

func (m *taskMembers) readLabels(raw jsontext.Value, draft *task.Draft) {
	if raw == nil || raw.Kind() == 'n' {
		return
	}
	values := readLabelValues(raw, false, m.faults)
	draft.Labels = joinLabels(values, m.faults)
}

// readLabels keeps what is to be merged.
func (p *taskPatch) readLabels(raw jsontext.Value) {
	p.setLabels = true
	if raw.Kind() != 'n' {
		p.labels = readLabelValues(raw, true, &p.faults)
	}
}

// mergeLabels merges as RFC 7396 says: null drops a label, or all of them.
func (p *taskPatch) mergeLabels(t *task.Task, to *task.Change, f *faults) {
	to.SetLabels = true
	if p.labels == nil {
		return
	}
	merged := map[string]*string{}
	for key, value := range t.Labels.Map() {
		merged[key] = &value
	}
	for key, value := range p.labels {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = value
		}
	}
	to.Labels = joinLabels(merged, f)
}

// maxLabelMembers bounds what is read of an object that has too many.
const maxLabelMembers = 2 * task.MaxLabels

// readLabelValues reads an object of labels and checks each. Of those with the same key the last
// one counts. null is nil, and a fault unless it may be there.
func readLabelValues(raw jsontext.Value, nullable bool, f *faults) map[string]*string {
	if raw.Kind() != '{' {
		f.add("labels", "must be an object")
		return nil
	}
	values := map[string]*string{}
	eachMember(raw, func(quoted, value jsontext.Value) {
		if len(values) > maxLabelMembers {
			return
		}
		key, err := strictText(quoted)
		if err != nil {
			f.add("labels", "has a key that "+err.Error())
			return
		}
		values[key] = nil
		if nullable && value.Kind() == 'n' {
			_, err = task.NewLabel(key, "")
		} else {
			var text string
			if text, err = strictText(value); err == nil {
				_, err = task.NewLabel(key, text)
			}
			values[key] = &text
		}
		if err != nil {
			f.add("labels."+shorten(key), err.Error())
		}
	})
	if len(values) > maxLabelMembers {
		f.add("labels", tooManyLabels)
		return nil
	}
	return values
}

var tooManyLabels = "must not be more than " + strconv.Itoa(task.MaxLabels)

func joinLabels(values map[string]*string, f *faults) task.Labels {
	if len(values) > task.MaxLabels {
		f.add("labels", tooManyLabels)
		return nil
	}
	var labels []string
	for key, value := range values {
		if value != nil {
			labels = append(labels, key+":"+*value)
		}
	}
	return task.LabelsOf(labels)
}

// strictText is what a JSON string stands for, without half of a surrogate pair.
func strictText(raw jsontext.Value) (string, error) {
	if raw.Kind() != '"' {
		return "", errors.New("must be a string")
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", errors.New("holds half of a surrogate pair")
	}
	return string(text), nil
}
