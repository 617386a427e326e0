package rig

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/testkit/witness"
)

// Witness is where the tasks' effects go. It knows of executions what the
// scheduler cannot gloss over: each one is noted before it is answered.
//
// Its paths are /<behaviour>/<n>, n being the number of the create. Tasks of a type with an
// endpoint call /, and name that as the url in their body. Behaviours: ok answers at once;
// slow takes a while; flaky fails the first attempt.
type Witness struct {
	*witness.Witness
	record *history.Recorder
	total  atomic.Int64

	// rude is how many of a thousand effects are not answered: the connection
	// breaks after the effect.
	rude atomic.Int64
}

// Rude makes so many of a thousand effects break their connection instead of
// answering.
func (w *Witness) Rude(permille int64) { w.rude.Store(permille) }

// slowAnswer is how long a slow effect takes.
const slowAnswer = 400 * time.Millisecond

// NewWitness listens on loopback until Close.
func NewWitness(record *history.Recorder) (*Witness, error) {
	w := &Witness{record: record}
	var err error
	w.Witness, err = witness.Start(w.hear)
	return w, err
}

// Webhook is what the task of a create calls.
func (w *Witness) Webhook(behaviour string, n int64) string {
	return w.URL(fmt.Sprintf("/%s/%d", behaviour, n))
}

func (w *Witness) hear(call witness.Call, out http.ResponseWriter) {
	behaviour, n, err := meaning(call)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	a := history.Arrival{N: n, Task: call.Task, Attempt: call.Attempt, At: call.At}
	w.record.Write(history.ArrivalsFile, a)
	w.total.Add(1)
	switch {
	case rand.Int64N(1000) < w.rude.Load():
		panic(http.ErrAbortHandler) // net/http's way to break the connection
	case behaviour == "slow":
		time.Sleep(slowAnswer)
	case behaviour == "flaky" && call.Attempt == 1:
		http.Error(out, "not this time", http.StatusServiceUnavailable)
		return
	}
	a.At = time.Now()
	w.record.Write(history.AnswersFile, a)
}

// meaning is what a call is to do, and the number of the create that it comes from.
func meaning(call witness.Call) (behaviour string, n int64, err error) {
	path := call.Path
	if path == "/" {
		var body struct {
			URL string `json:"url"`
		}
		if err := json.NewDecoder(call.Body).Decode(&body); err != nil {
			return "", 0, err
		}
		called, err := url.Parse(body.URL)
		if err != nil {
			return "", 0, err
		}
		path = called.Path
	}
	behaviour, number, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	n, err = strconv.ParseInt(number, 10, 64)
	return behaviour, n, err
}

// Total is how many executions arrived.
func (w *Witness) Total() int64 { return w.total.Load() }
