//go:build chaos

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// plan says what happens at which point.
type plan struct {
	rules map[string]*rule
}

type rule struct {
	action string
	hang   time.Duration
	chance float64
	nth    int64 // 0 if chance decides
	hits   atomic.Int64
}

// hit counts a hit of the point and reports whether its rule fires.
func (p *plan) hit(point string) (*rule, bool) {
	r, known := p.rules[point]
	if !known {
		return nil, false
	}
	if r.nth > 0 {
		return r, r.hits.Add(1) == r.nth
	}
	return r, rand.Float64() < r.chance
}

func parse(text string) (*plan, error) {
	p := &plan{rules: map[string]*rule{}}
	for entry := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if entry == "" {
			continue
		}
		point, what, found := strings.Cut(entry, "=")
		if !found || !slices.Contains(Points(), point) {
			return nil, fmt.Errorf("%q is not point=action:when of a known point", entry)
		}
		r, err := parseRule(strings.Split(what, ":"))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", entry, err)
		}
		p.rules[point] = r
	}
	return p, nil
}

func parseRule(parts []string) (*rule, error) {
	r := &rule{action: parts[0]}
	want := 2
	switch r.action {
	case "kill", "pause", "panic", "goexit", "exit":
	case "hang":
		want = 3
	default:
		return nil, fmt.Errorf("there is no action %q", r.action)
	}
	if len(parts) != want {
		return nil, fmt.Errorf("action %s takes %d parts", r.action, want)
	}
	var err error
	if r.action == "hang" {
		if r.hang, err = time.ParseDuration(parts[1]); err != nil {
			return nil, err
		}
	}
	when := parts[want-1]
	if nth, exact := strings.CutPrefix(when, "@"); exact {
		r.nth, err = strconv.ParseInt(nth, 10, 64)
	} else {
		r.chance, err = strconv.ParseFloat(when, 64)
	}
	if err == nil && (r.nth < 0 || r.nth == 0 && (r.chance <= 0 || r.chance > 1)) {
		err = fmt.Errorf("%q is neither a probability above 0 nor @n", when)
	}
	return r, err
}
