package app

import (
	"encoding/json"
	"sync"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/schema"
	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/tasktype"
)

// payloads checks what a task type says of its payloads: code that ships, and the schema
// of the type, which is compiled once per version of it.
type payloads struct {
	shipped *tasktype.Registry

	mu       sync.Mutex
	compiled map[string]compiledSchema // by the type's name
}

type compiledSchema struct {
	version int64
	schema  *schema.Schema
}

// Validate lists what is wrong with a payload.
func (p *payloads) Validate(t task.Type, payload json.RawMessage) []httpapi.FieldError {
	faults := fieldErrors(p.shipped.Validate(t, payload))
	if t.PayloadSchema == nil {
		return faults
	}
	s, fault := p.schemaOf(t)
	if fault != nil { // it was put by a version that knew more
		return append(faults, httpapi.FieldError{Field: "payload", Message: "cannot be checked: the schema of its type " + fault.Message})
	}
	for _, fault := range s.Validate(payload) {
		faults = append(faults, httpapi.FieldError{Field: "payload" + fault.Place, Message: fault.Message})
	}
	return faults
}

func (p *payloads) schemaOf(t task.Type) (*schema.Schema, *schema.Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.compiled[t.Name]; c.schema != nil && c.version == t.Version {
		return c.schema, nil
	}
	s, fault := schema.Compile(t.PayloadSchema)
	if fault == nil {
		p.compiled[t.Name] = compiledSchema{t.Version, s}
	}
	return s, fault
}

// CheckType lists what is wrong with a type beside the form of its members.
func (p *payloads) CheckType(t task.Type) (faults []httpapi.FieldError) {
	if t.Webhook != nil {
		faults = fieldErrors(tasktype.CheckEndpoint(t.Webhook.URL))
	}
	if t.PayloadSchema != nil {
		if _, fault := schema.Compile(t.PayloadSchema); fault != nil {
			faults = append(faults, httpapi.FieldError{Field: "payload_schema" + fault.Place, Message: fault.Message})
		}
	}
	return faults
}

func fieldErrors(problems []tasktype.Problem) (faults []httpapi.FieldError) {
	for _, p := range problems {
		faults = append(faults, httpapi.FieldError{Field: p.Field, Message: p.Message})
	}
	return faults
}
