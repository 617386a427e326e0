package check

import (
	"strings"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

// converged is K5: what the run itself saw of the stores once the faults were
// over, and the time it took.
func converged(h *History, v *Verdict) {
	v.Counts["settled after ms"] = int(1000 * h.Settled.Took)
	for _, wrong := range h.Settled.Wrong {
		v.find(Convergence, "after %.1f s: %s", h.Settled.Took, wrong)
	}
}

// Slack that a process may hold more after the faults than before: pools and
// timers breathe.
const (
	goroutineSlack  = 60
	descriptorSlack = 60
	// poolSize is the most connections to Postgres that a node may have.
	poolSize    = 16
	memoryLimit = 1 << 30
)

// leaks is K6: processes that survived hold about what they held before, and
// none ended in a way that nobody meant.
func leaks(h *History, v *Verdict) {
	before := map[string]history.Vitals{}
	for _, vital := range h.Vitals {
		if vital.When == "before" {
			before[vital.Node] = vital
			continue
		}
		base := before[vital.Node]
		if grown := vital.Goroutines - base.Goroutines; grown > goroutineSlack {
			v.find(Leaks, "%s has %d goroutines more than at the beginning", vital.Node, grown)
		}
		if grown := vital.Descriptors - base.Descriptors; grown > descriptorSlack {
			v.find(Leaks, "%s has %d descriptors more than at the beginning", vital.Node, grown)
		}
		if vital.Connections > poolSize*(len(before)-1) {
			v.find(Leaks, "%d connections to postgres are more than all pools may have", vital.Connections)
		}
		if vital.RSS > memoryLimit {
			v.find(Leaks, "%s holds %d MiB", vital.Node, vital.RSS>>20)
		}
	}
	for _, e := range h.Events {
		if e.What == "ended" {
			v.Counts["processes ended"]++
			if strings.Contains(e.Detail, "exit status 2") || strings.Contains(e.Detail, "exit status 66") {
				v.find(Leaks, "%s crashed, see its log: %s", e.To, e.Detail)
			}
		}
		if e.What == "fault" {
			v.Counts["faults"]++
		}
	}
}
