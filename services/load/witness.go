package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/test/testkit/witness"
)

// arrivals are the executions of one run as the outside world saw them.
type arrivals struct {
	*witness.Witness
	path string

	mu   sync.Mutex
	seen map[uuid.UUID][]witness.Call
}

// startWitness receives the webhooks of a run. Only requests that name the run count,
// so that tasks left over by an earlier one do not.
func startWitness(run string) (*arrivals, error) {
	a := &arrivals{path: "/" + run, seen: map[uuid.UUID][]witness.Call{}}
	var err error
	a.Witness, err = witness.Start(func(call witness.Call, out http.ResponseWriter) {
		if call.Path != a.path {
			http.Error(out, "this is another run", http.StatusNotFound)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[call.Task] = append(a.seen[call.Task], call)
	})
	return a, err
}

// payload makes a webhook task call this witness.
func (a *arrivals) payload() json.RawMessage {
	return fmt.Appendf(nil, `{"method":"POST","url":%q}`, a.URL(a.path))
}

// calls is a copy of what was seen up to now, in order of arrival.
func (a *arrivals) calls() map[uuid.UUID][]witness.Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := maps.Clone(a.seen)
	for id := range out {
		out[id] = slices.Clone(out[id])
	}
	return out
}
