// Package schema checks payloads against the JSON Schema (2020-12) of a task type, which is
// compiled once.
//
// A schema stands alone: it refers to itself with #/..., and to nothing else, so nothing is
// read from files or the network. What it takes to check a payload is bounded: patterns are
// those of package regexp, whose cost is linear, and a check that takes more than a number
// of steps is given up.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxSteps is how many schemas one check may apply. A payload of 256 KiB has some
	// 60,000 values; each step takes a fraction of a microsecond.
	maxSteps = 200_000
	// maxFaults bounds what is told of one payload.
	maxFaults = 20
	// address is where the schema stands for the library. Nothing is read from there.
	address = "schema:payload"
)

// Fault is one thing wrong with a schema or with a payload. Message quotes no value of a
// payload.
type Fault struct {
	// Place is a path below the payload, such as .items[2].price, or a JSON pointer into
	// the schema.
	Place   string
	Message string
}

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	document any
	checkers sync.Pool // of *checker: a check counts its steps in the schema it uses
}

// checker is a compiled copy of the schema for one check at a time.
type checker struct {
	schema *jsonschema.Schema
	left   int
}

var errTooMuch = errors.New("the check takes too long")

// Validate counts a step: the library calls it with each schema that it applies.
func (c *checker) Validate(*jsonschema.ValidatorContext, any) {
	if c.left--; c.left < 0 {
		panic(errTooMuch)
	}
}

// Compile compiles a schema, whose numbers and depth are bounded, as those of a payload
// are. The fault is nil if it can be used.
func Compile(raw json.RawMessage) (*Schema, *Fault) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, &Fault{Message: "is not JSON"}
	}
	switch document.(type) {
	case map[string]any, bool:
	default: // the library takes it for granted
		return nil, &Fault{Message: "must be an object, true or false"}
	}
	if fault := standsAlone(document, ""); fault != nil {
		return nil, fault
	}
	s := &Schema{document: document}
	c, err := s.compile()
	if err != nil {
		return nil, compileFault(err)
	}
	if refersToItself(c.schema) {
		return nil, &Fault{Message: "refers to itself without an end"}
	}
	s.checkers.Put(c)
	return s, nil
}

// compile makes a checker. What the library takes for impossible is an error too: schemas
// come from clients.
func (s *Schema) compile() (c *checker, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the schema makes no sense: %v", p)
		}
	}()
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(address, s.document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(address)
	if err != nil {
		return nil, err
	}
	c = &checker{schema: compiled}
	for _, part := range partsOf(compiled) {
		part.Extensions = append(part.Extensions, c)
	}
	return c, nil
}

// nowhere loads nothing.
type nowhere struct{}

// Load refuses.
func (nowhere) Load(string) (any, error) { return nil, errors.New("refers to another document") }

// Validate lists what is wrong with a payload, which may be nil.
func (s *Schema) Validate(payload json.RawMessage) []Fault {
	var value any
	if payload != nil {
		var err error
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(payload)); err != nil {
			return []Fault{{Message: "is not JSON"}}
		}
	}
	c, _ := s.checkers.Get().(*checker)
	if c == nil {
		var err error
		if c, err = s.compile(); err != nil { // it was compiled before
			return []Fault{{Message: "cannot be checked: " + err.Error()}}
		}
	}
	defer s.checkers.Put(c)
	return c.check(value)
}

func (c *checker) check(value any) (faults []Fault) {
	c.left = maxSteps
	defer func() {
		switch p := recover(); p {
		case nil:
		case errTooMuch:
			faults = []Fault{{Message: "takes too long to check against the schema of its type"}}
		default:
			panic(p)
		}
	}()
	var invalid *jsonschema.ValidationError
	switch err := c.schema.Validate(value); {
	case errors.As(err, &invalid):
		return faultsOf(invalid, nil)
	case err != nil:
		return []Fault{{Message: "cannot be checked against the schema of its type"}}
	}
	return nil
}

// compileFault says what keeps a schema from being compiled.
func compileFault(err error) *Fault {
	var whole *jsonschema.SchemaValidationError
	if errors.As(err, &whole) {
		err = whole.Err
	}
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		leaf := deepest(invalid)
		return &Fault{Place: pointer(leaf.InstanceLocation), Message: "is not what a JSON Schema (2020-12) has there: " + reason(leaf)}
	}
	message := strings.ReplaceAll(err.Error(), address, "")
	return &Fault{Message: "cannot be used: " + message}
}

// deepest is what is wrong furthest inside: the rest follows from it.
func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	found := e
	for _, cause := range e.Causes {
		inner := deepest(cause)
		if found == e || len(inner.InstanceLocation) > len(found.InstanceLocation) {
			found = inner
		}
	}
	return found
}

func pointer(tokens []string) string {
	var text strings.Builder
	for _, token := range tokens {
		text.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return text.String()
}

// path writes where a value stands in a payload.
func path(tokens []string) string {
	var text strings.Builder
	for _, token := range tokens {
		if _, err := strconv.ParseUint(token, 10, 32); err == nil {
			fmt.Fprintf(&text, "[%s]", token)
		} else {
			text.WriteString("." + shorten(token))
		}
	}
	return text.String()
}

// shorten keeps a name that the client made up readable.
func shorten(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
