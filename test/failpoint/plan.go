//go:build chaos

package failpoint

import (
	"errors"
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
		r := &rule{action: parts[2]}
		var err, whenErr error
		if parts[3] != "" {
			r.action = "hang"
			r.hang, err = time.ParseDuration(parts[3])
		}
		if parts[4] == "@" {
			r.nth, whenErr = strconv.ParseInt(parts[5], 10, 64)
		} else {
			r.chance, whenErr = strconv.ParseFloat(parts[5], 64)
		}
		if r.nth < 0 || r.nth == 0 && (r.chance <= 0 || r.chance > 1) {
			whenErr = errors.New("when is neither a probability above 0 nor @n")
		}
		if err := errors.Join(err, whenErr); err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		p[parts[1]] = r
	}
	return p, nil
}
