package httpapi

import (
	"bytes"
	"encoding/json"
	"iter"
)

// What is walked here was found to be valid JSON before, by package json: so
// every bracket and quote has its partner, and no index runs over the end. A
// body is thereby read twice and copied never.

// members are the names and values of an object, in order. Names are without
// quotes and escapes.
func members(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := skipSpace(object, 1)
		for object[i] == '"' {
			end := skipString(object, i)
			name := textOf(object[i:end])
			i = skipSpace(object, skipSpace(object, end)+len(":"))
			end = skipValue(object, i)
			if !yield(name, object[i:end:end]) {
				return
			}
			i = skipSpace(object, end)
			if object[i] == ',' {
				i = skipSpace(object, i+1)
			}
		}
	}
}

// elements are the values of an array, in order.
func elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(array, 1)
		for array[i] != ']' {
			end := skipValue(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = skipSpace(array, end)
			if array[i] == ',' {
				i = skipSpace(array, i+1)
			}
		}
	}
}

// textOf undoes the quotes and escapes of a string.
func textOf(quoted []byte) []byte {
	plain := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(plain, '\\') < 0 {
		return plain
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil // not to be had of valid JSON, and nothing that is known
	}
	return []byte(text)
}

func skipSpace(raw []byte, i int) int {
	for raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\r' || raw[i] == '\t' {
		i++
	}
	return i
}

// skipString returns the end of the string that starts at i.
func skipString(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the end of the value that starts at i. Something follows
// it, since the value is in an object or array.
func skipValue(raw []byte, i int) int {
	for depth := 0; ; {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\n', '\r', '\t':
			i++
			continue
		default:
			i = skipWord(raw, i)
		}
		if depth == 0 {
			return i
		}
	}
}

// skipWord returns the end of the number, true, false or null that starts at i.
func skipWord(raw []byte, i int) int {
	for {
		switch raw[i] {
		case ',', '}', ']', ' ', '\n', '\r', '\t':
			return i
		}
		i++
	}
}
