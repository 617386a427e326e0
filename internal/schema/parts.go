package schema

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// partsOf are all schemas that a schema can apply.
func partsOf(root *jsonschema.Schema) (parts []*jsonschema.Schema) {
	seen := map[*jsonschema.Schema]bool{}
	for todo := []*jsonschema.Schema{root}; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		parts = append(parts, s)
		todo = append(append(todo, here(s)...), below(s)...)
	}
	return parts
}

// here are the schemas that a schema applies to the same value.
func here(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else})
	return append(parts, slices.Collect(maps.Values(s.DependentSchemas))...)
}

// below are those that it applies to what is in the value.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := slices.Concat(s.PrefixItems, []*jsonschema.Schema{
		s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	})
	parts = append(parts, slices.Collect(maps.Values(s.Properties))...)
	parts = append(parts, slices.Collect(maps.Values(s.PatternProperties))...)
	for _, either := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch part := either.(type) {
		case *jsonschema.Schema:
			parts = append(parts, part)
		case []*jsonschema.Schema:
			parts = append(parts, part...)
		}
	}
	return parts
}

// refersToItself reports whether a schema comes back to itself at the same value, which
// has no end.
func refersToItself(root *jsonschema.Schema) bool {
	const entered, left = 1, 2
	state := map[*jsonschema.Schema]int{}
	var visit func(*jsonschema.Schema) bool
	visit = func(s *jsonschema.Schema) bool {
		if s == nil || state[s] == left {
			return false
		}
		if state[s] == entered {
			return true
		}
		state[s] = entered
		again := slices.ContainsFunc(here(s), visit)
		state[s] = left
		return again
	}
	return slices.ContainsFunc(partsOf(root), visit)
}
