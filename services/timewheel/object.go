package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// object is a JSON object under construction. What is given as JSON stays as it is, byte
// by byte, since payloads are kept and signed as they came.
type object struct{ text bytes.Buffer }

func newObject() *object { return &object{} }

// add adds a member.
func (o *object) add(name string, value any) *object {
	encoded, err := json.Marshal(value)
	if err != nil { // texts, numbers and lists of them always encode
		panic(fmt.Sprintf("encode %s: %v", name, err))
	}
	return o.addRaw(name, encoded)
}

// addRaw adds a member whose value is JSON already.
func (o *object) addRaw(name string, value []byte) *object {
	if o.text.Len() > 0 {
		o.text.WriteByte(',')
	}
	quoted, _ := json.Marshal(name) //nolint:errchkjson // A text always encodes.
	o.text.Write(quoted)
	o.text.WriteByte(':')
	o.text.Write(value)
	return o
}

// addText adds a member unless it is empty.
func (o *object) addText(name, value string) *object {
	if value == "" {
		return o
	}
	return o.add(name, value)
}

func (o *object) bytes() []byte { return []byte("{" + o.text.String() + "}") }

// member is one of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members takes a JSON object apart, in its order.
func members(text []byte) ([]member, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var found []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: fmt.Sprint(name)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}

// with is a JSON object with another value of one member.
func with(text []byte, name string, value any) ([]byte, error) {
	found, err := members(text)
	if err != nil {
		return nil, err
	}
	changed := newObject()
	for _, m := range found {
		if m.name != name {
			changed.addRaw(m.name, m.value)
		}
	}
	return changed.add(name, value).bytes(), nil
}

// readJSON reads a value that is typed as JSON, as @file, or as - for the standard input.
func (c *cli) readJSON(flag, text string) ([]byte, error) {
	var err error
	value := []byte(text)
	switch {
	case text == "-" && isTerminal(c.in):
		return nil, wrongUse("%s is read from the standard input, which is a terminal; give a file as @file", flag)
	case text == "-":
		value, err = io.ReadAll(c.in)
	case strings.HasPrefix(text, "@"):
		value, err = os.ReadFile(text[1:])
	}
	if err != nil {
		return nil, wrongUse("read %s: %v", flag, err)
	}
	if value = bytes.TrimSpace(value); !json.Valid(value) {
		return nil, wrongUse(`%s is not JSON; write '{"name": "value"}', @file, or - for the standard input`, flag)
	}
	return value, nil
}
