//go:build chaos

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// plan says what happens at which point.
type plan map[string]*rule

type rule struct {
	action string
	hang   time.Duration
	chance float64
	nth    int64 // 0 if chance decides
	hits   atomic.Int64
}

// hit counts a hit of the point and reports whether its rule fires.
func (p plan) hit(point string) (*rule, bool) {
	r, known := p[point]
	if !known {
		return nil, false
	}
	if r.nth > 0 {
		return r, r.hits.Add(1) == r.nth
	}
	return r, rand.Float64() < r.chance
}

// entryForm is point=action:when.
var entryForm = regexp.MustCompile(`^(\w+)=(kill|pause|panic|goexit|exit|hang:([^:]+)):(@?)([^:]+)$`)

func parse(text string) (plan, error) {
	p := plan{}
	for entry := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if entry == "" {
			continue
		}
		parts := entryForm.FindStringSubmatch(entry)
		if parts == nil || !slices.Contains(Points(), parts[1]) {
			return nil, fmt.Errorf("%q is not point=action:when of a known point and action", entry)
		}
		r, err := parseRule(parts[2], parts[3], parts[4] == "@", parts[5])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		p[parts[1]] = r
	}
	return p, nil
}

func parseRule(action, hang string, exact bool, when string) (r *rule, err error) {
	r = &rule{action: action}
	if hang != "" {
		r.action = "hang"
		if r.hang, err = time.ParseDuration(hang); err != nil {
			return nil, err
		}
	}
	if exact {
		r.nth, err = strconv.ParseInt(when, 10, 64)
	} else {
		r.chance, err = strconv.ParseFloat(when, 64)
	}
	if err == nil && (r.nth < 0 || r.nth == 0 && (r.chance <= 0 || r.chance > 1)) {
		err = fmt.Errorf("%q is neither a probability above 0 nor @n", when)
	}
	return r, err
}
