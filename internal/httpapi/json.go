package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A body is read in one pass, and what is kept of it is a part of it: nothing is copied.

// newDecoder reads a body that is valid UTF-8. Of members with the same name the last
// one counts. Half a surrogate pair is refused where it matters, which is in a payload.
func newDecoder(body []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// readBody reads a body that must be one JSON object, and calls member for each of its
// members, in order. The value is a part of the body. The error is a *problem.
func readBody(body []byte, member func(name []byte, value jsontext.Value)) error {
	if !utf8.Valid(body) {
		return malformed("The body is not valid UTF-8.")
	}
	d := newDecoder(body)
	kind := d.PeekKind()
	var err error
	if kind == '{' {
		err = readMembers(d, body, member)
	} else {
		err = d.SkipValue()
	}
	if err == nil {
		if _, err = d.ReadToken(); err == nil {
			err = errors.New("something follows it")
		}
	} else if errors.Is(err, io.EOF) {
		return malformed("The body is empty.")
	}
	switch {
	case !errors.Is(err, io.EOF):
		return malformed(fmt.Sprintf("The body is not one JSON value: %v.", err))
	case kind != '{':
		return invalidFields(FieldError{"body", "must be a JSON object"})
	}
	return nil
}

// readMembers reads the object that comes next, and calls member for each of its
// members, in order.
func readMembers(d *jsontext.Decoder, body []byte, member func(name []byte, value jsontext.Value)) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		quoted, err := d.ReadValue()
		if err != nil {
			return err
		}
		name := unquote(quoted)
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		end := int(d.InputOffset())
		member(name, body[end-len(value):end:end])
	}
	_, err := d.ReadToken()
	return err
}

// readElements calls element where each value of an array begins, in order, until it is
// false. It reads that value. The array was read before, so it has no fault.
func readElements(array jsontext.Value, element func(*jsontext.Decoder) bool) {
	d := newDecoder(array)
	if _, err := d.ReadToken(); err != nil {
		return
	}
	for d.PeekKind() != ']' && element(d) {
	}
}

// textOf is what a JSON string stands for, and empty for any other value.
func textOf(raw jsontext.Value) string {
	if raw.Kind() != '"' {
		return ""
	}
	return string(unquote(raw))
}

// unquote is what a JSON string stands for. Without escapes that is a part of it, not a
// copy. Half a surrogate pair becomes U+FFFD, which is in nothing that is known.
func unquote(quoted jsontext.Value) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // its error tells of half a pair
	return text
}
