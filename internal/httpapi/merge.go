package httpapi

import (
	"github.com/go-json-experiment/json/jsontext"
)

// mergePatch is a JSON object after a merge patch that is an object (RFC 7396). What the patch
// does not touch keeps its text, and so each digit of its numbers. A target that is no object,
// or nil, counts as an empty one. Both are valid JSON, and the patch is not nested deep.
func mergePatch(target, patch jsontext.Value) jsontext.Value {
	type member struct {
		quoted, value jsontext.Value
		last          int // of the target's members of this name
	}
	order, byName := []string{}, map[string]*member{}
	eachMember(patch, func(quoted, value jsontext.Value) {
		name := string(unquote(quoted))
		if m := byName[name]; m != nil { // the last one counts
			m.value = value
			return
		}
		order, byName[name] = append(order, name), &member{quoted: quoted, value: value, last: -1}
	})
	n := 0
	eachMember(target, func(quoted, _ jsontext.Value) {
		if m := byName[string(unquote(quoted))]; m != nil {
			m.last = n
		}
		n++
	})
	out := jsontext.Value{'{'}
	write := func(quoted, value jsontext.Value) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted...), ':'), value...)
	}
	n = 0
	eachMember(target, func(quoted, value jsontext.Value) {
		m := byName[string(unquote(quoted))]
		switch {
		case m == nil:
			write(quoted, value)
		case m.last == n && m.value.Kind() == '{':
			write(quoted, mergePatch(value, m.value))
		case m.last == n && m.value.Kind() != 'n':
			write(quoted, m.value)
		}
		n++
	})
	for _, name := range order {
		switch m := byName[name]; {
		case m.last >= 0 || m.value.Kind() == 'n':
		case m.value.Kind() == '{':
			write(m.quoted, mergePatch(nil, m.value))
		default:
			write(m.quoted, m.value)
		}
	}
	return append(out, '}')
}

// eachMember calls member for each member of an object, in order, with its name as it is
// written. Any other value has none.
func eachMember(object jsontext.Value, member func(quoted, value jsontext.Value)) {
	if len(object) == 0 || object.Kind() != '{' {
		return
	}
	d := newDecoder(object)
	if _, err := d.ReadToken(); err != nil {
		return
	}
	for d.PeekKind() != '}' {
		quoted, err := d.ReadValue()
		if err != nil {
			return
		}
		quoted = quoted.Clone()
		value, err := d.ReadValue()
		if err != nil {
			return
		}
		member(quoted, value.Clone())
	}
}
