package task

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of labels. Lengths are in bytes.
const (
	MaxLabels     = 16
	MaxLabelKey   = 63
	MaxLabelValue = 255
)

// Labels are texts key:value by which tasks are found, in order, with one for each key. A key
// has no colon in it. Nil is none.
type Labels []string

// LabelKeys is what a key of a label must match.
const LabelKeys = `^[A-Za-z0-9._/-]{1,63}$`

var labelKeys = regexp.MustCompile(LabelKeys)

// Faults of labels.
var (
	errLabelKey   = fmt.Errorf("must have a key of 1 to %d of A-Z, a-z, 0-9, '.', '_', '/' and '-'", MaxLabelKey)
	errLabelValue = fmt.Errorf("must have a value of at most %d bytes", MaxLabelValue)
	errLabelText  = errors.New("must be UTF-8 without U+0000")
	errLabelColon = errors.New("must be key:value")
)

// NewLabel is the label of a key and a value.
func NewLabel(key, value string) (string, error) {
	switch {
	case !labelKeys.MatchString(key):
		return "", errLabelKey
	case len(value) > MaxLabelValue:
		return "", errLabelValue
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return "", errLabelText
	}
	return key + ":" + value, nil
}

// ParseLabel checks a text key:value. The value may have colons of its own, and may be empty.
func ParseLabel(text string) (string, error) {
	key, value, found := strings.Cut(text, ":")
	if !found {
		return "", errLabelColon
	}
	return NewLabel(key, value)
}

// LabelsOf puts checked labels in order, each once.
func LabelsOf(labels []string) Labels {
	if len(labels) == 0 {
		return nil
	}
	sorted := slices.Clone(labels)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Map is the values by their keys.
func (l Labels) Map() map[string]string {
	values := make(map[string]string, len(l))
	for _, label := range l {
		key, value, _ := strings.Cut(label, ":")
		values[key] = value
	}
	return values
}

// Contradict reports whether two of the labels are of one key, which no task has.
func (l Labels) Contradict() bool { return len(l.Map()) < len(l) }
