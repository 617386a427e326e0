package schema

import (
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// faultsOf lists the innermost of what is wrong.
func faultsOf(e *jsonschema.ValidationError, faults []Fault) []Fault {
	if len(faults) == maxFaults {
		return faults
	}
	if len(e.Causes) == 0 {
		return append(faults, Fault{Place: path(e.InstanceLocation), Message: reason(e)})
	}
	for _, cause := range e.Causes {
		faults = faultsOf(cause, faults)
	}
	return faults
}

// reason says what is wrong by what the schema says, and quotes nothing of the payload.
func reason(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return "must be " + strings.Join(k.Want, " or ") + ", not " + k.Got
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.AdditionalProperties:
		return "has a member that is not allowed"
	}
	return "does not fit " + strings.Join(e.ErrorKind.KeywordPath(), "/") + " of the schema"
}

// values are keywords whose values are no schemas.
var values = []string{"const", "enum", "default", "examples"}

// standsAlone refuses what refers to other documents, and what makes a schema another one.
func standsAlone(document any, at string) *Fault {
	switch d := document.(type) {
	case []any:
		for i, part := range d {
			if fault := standsAlone(part, at+pointer([]string{strconv.Itoa(i)})); fault != nil {
				return fault
			}
		}
	case map[string]any:
		for name, part := range d {
			place := at + pointer([]string{name})
			text, isText := part.(string)
			switch {
			case slices.Contains(values, name):
				continue
			case !isText:
			case name == "$ref" && !strings.HasPrefix(text, "#"):
				return &Fault{place, "refers to another document; a schema stands alone"}
			case name == "$id", name == "$dynamicRef", name == "$recursiveRef":
				return &Fault{place, "is not supported; a schema stands alone, and refers to itself by $ref"}
			case name == "$schema" && strings.TrimSuffix(text, "#") != "https://json-schema.org/draft/2020-12/schema":
				return &Fault{place, "must be https://json-schema.org/draft/2020-12/schema"}
			}
			if fault := standsAlone(part, place); fault != nil {
				return fault
			}
		}
	}
	return nil
}
