package config

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Types are the task types that a worker serves. The zero value is all of them.
type Types struct {
	Names []string
	// Slots are those of types that have slots of their own.
	Slots map[string]int
}

const maxSlots = 100_000

var (
	typeName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

	errTypes = errors.New("is not a list such as mail,invoice=20")
)

// UnmarshalText reads name,name=slots,... The error quotes nothing of it.
func (t *Types) UnmarshalText(text []byte) error {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(string(text), ",") {
		name, slots, apart := strings.Cut(strings.TrimSpace(part), "=")
		if !typeName.MatchString(name) || seen[name] {
			return errTypes
		}
		seen[name] = true
		t.Names = append(t.Names, name)
		if !apart {
			continue
		}
		n, err := strconv.Atoi(slots)
		if err != nil || n < 1 || n > maxSlots {
			return errTypes
		}
		if t.Slots == nil {
			t.Slots = map[string]int{}
		}
		t.Slots[name] = n
	}
	return nil
}
