package httpapi

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxDepth is how deep a payload may nest.
	maxDepth = 64
	// maxExponent and maxDigits keep numbers within what other languages read.
	maxExponent, maxDigits = 308, 1000
)

// payloadOf returns the payload of a body's member, or what keeps it from
// being stored. The member is valid JSON, or nil if it is not there.
func payloadOf(raw json.RawMessage) (payload json.RawMessage, wrong string) {
	switch {
	case raw == nil || string(raw) == "null":
		return nil, ""
	case raw[0] != '{':
		return nil, "must be an object"
	case len(raw) > task.MaxPayload:
		return nil, "is larger than 256 KiB"
	}
	depth, digits := 0, 0
	for i := 0; i < len(raw); i++ {
		if raw[i] < '0' || raw[i] > '9' {
			if raw[i] != '.' {
				digits = 0
			}
		} else if digits++; digits > maxDigits {
			return nil, "holds a number of more than " + strconv.Itoa(maxDigits) + " digits"
		}
		switch raw[i] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, "is nested deeper than " + strconv.Itoa(maxDepth) + " levels"
			}
		case '}', ']':
			depth--
		case '"':
			if i, wrong = checkString(raw, i); wrong != "" {
				return nil, wrong
			}
		case 'e', 'E':
			// An exponent follows a digit; the letters of true and false do not.
			if raw[i-1] >= '0' && raw[i-1] <= '9' && !smallExponent(raw[i+1:]) {
				return nil, "holds a number with an exponent beyond " + strconv.Itoa(maxExponent)
			}
		}
	}
	return raw, ""
}

// checkString looks at the string that starts at start and returns where it
// ends. It refuses U+0000 and half a surrogate pair, which Postgres' operators on
// JSON and other languages cannot read.
func checkString(raw []byte, start int) (end int, wrong string) {
	for i := start + 1; ; i++ {
		switch raw[i] {
		case '"':
			return i, ""
		case '\\':
			i++
			if raw[i] != 'u' {
				continue
			}
			unit := codeUnit(raw[i+1:])
			i += 4
			switch {
			case unit == 0:
				return i, "holds the character U+0000"
			case !utf16.IsSurrogate(unit):
			case raw[i+1] == '\\' && raw[i+2] == 'u' && utf16.DecodeRune(unit, codeUnit(raw[i+3:])) != '\uFFFD':
				i += 6
			default:
				return i, "holds half of a surrogate pair"
			}
		}
	}
}

// codeUnit reads the four digits of a \u escape.
func codeUnit(digits []byte) rune {
	unit, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return 0 // not to be had of valid JSON, and refused
	}
	return rune(unit)
}

// smallExponent reads the digits after an e.
func smallExponent(rest []byte) bool {
	end := 0
	for end < len(rest) && (rest[end] == '+' || rest[end] == '-' || rest[end] >= '0' && rest[end] <= '9') {
		end++
	}
	n, err := strconv.Atoi(string(rest[:end]))
	return err == nil && -maxExponent <= n && n <= maxExponent
}
