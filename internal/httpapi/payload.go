package httpapi

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxDepth is how deep a payload may nest.
	maxDepth = 64
	// maxExponent and maxDigits keep numbers within what other languages read.
	maxExponent, maxDigits = 308, 1000
)

// checkPayload says what keeps a value from being stored as a payload. The value is
// valid JSON.
func checkPayload(raw jsontext.Value) error {
	switch {
	case raw.Kind() != '{':
		return errors.New("must be an object")
	case len(raw) > task.MaxPayload:
		return errors.New("is larger than 256 KiB")
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	for {
		var scalar jsontext.Value // a token would be a copy
		var err error
		kind := d.PeekKind()
		if kind == '"' || kind == '0' {
			scalar, err = d.ReadValue()
		} else {
			_, err = d.ReadToken()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil: // Of valid JSON this is all that a decoder refuses.
			return errors.New("holds half of a surrogate pair")
		case d.StackDepth() > maxDepth:
			return errors.New("is nested deeper than " + strconv.Itoa(maxDepth) + " levels")
		case kind == '"' && bytes.IndexByte(unquote(scalar), 0) >= 0: // Postgres' operators on JSON cannot read it.
			return errors.New("holds the character U+0000")
		case kind == '0':
			if err := checkNumber(string(scalar)); err != nil {
				return err
			}
		}
	}
}

func checkNumber(number string) error {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if max(len(strings.TrimLeft(mantissa, "-"))-strings.Count(mantissa, "."), len(strings.TrimLeft(exponent, "+-"))) > maxDigits {
		return errors.New("holds a number of more than " + strconv.Itoa(maxDigits) + " digits")
	}
	if exponent == "" {
		return nil
	}
	if n, err := strconv.Atoi(exponent); err != nil || n < -maxExponent || n > maxExponent {
		return errors.New("holds a number with an exponent beyond " + strconv.Itoa(maxExponent))
	}
	return nil
}
