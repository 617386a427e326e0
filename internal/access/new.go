package access

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// NewKey is what a key shall be.
type NewKey struct {
	Name   string
	Scopes Scopes
	Types  []string
	// ExpiresIn is how long it is good. 0 is for ever.
	ExpiresIn time.Duration
}

// Fault is what is wrong with a member of a new key.
type Fault struct{ Member, Message string }

// typePrefix is what the name of a type may begin with.
var typePrefix = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

// Faults lists what is wrong with a new key.
func (n NewKey) Faults() (faults []Fault) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if n.Name == "" || len(n.Name) > MaxName || !utf8.ValidString(n.Name) || strings.ContainsFunc(n.Name, unprintable) {
		faults = append(faults, Fault{"name", fmt.Sprintf("must be 1 to %d bytes of printable characters", MaxName)})
	}
	if n.Scopes == 0 {
		faults = append(faults, Fault{"scopes", "must be one at least of " + strings.Join(scopeNames, ", ")})
	}
	if len(n.Types) > MaxTypes {
		faults = append(faults, Fault{"types", fmt.Sprintf("must not be more than %d", MaxTypes)})
	}
	for i, prefix := range n.Types {
		if !typePrefix.MatchString(prefix) {
			faults = append(faults, Fault{
				"types[" + strconv.Itoa(i) + "]",
				"must be how the names of the types begin, such as billing. with no * at its end",
			})
		}
	}
	return faults
}

// MaxExpiry is the longest that a key which expires is good.
const MaxExpiry = 3650 * 24 * time.Hour

// ErrExpiry says what an expiry looks like.
var ErrExpiry = errors.New(`must be a duration such as "90d" or "12h", from 1s to 3650d`)

// ParseExpiry reads how long a key is good: days, or a duration as Go writes it.
func ParseExpiry(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, is := strings.CutSuffix(text, "d"); is {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < time.Second || d > MaxExpiry {
		return 0, ErrExpiry
	}
	return d, nil
}
