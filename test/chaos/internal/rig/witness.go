package rig

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/judge"
)

// Witness is where the tasks' effects go: each one is noted before it is answered. How
// it answers is the word of the path: ok at once, slow after a while, flaky not on the
// first attempt.
type Witness struct {
	judge.Witness
	// Total is how many executions arrived.
	Total atomic.Int64
	// Rude is how many of a thousand effects are not answered: the connection
	// breaks after the effect.
	Rude atomic.Int64
}

// slowAnswer is how long a slow effect takes.
const slowAnswer = 400 * time.Millisecond

func newWitness(record *history.Recorder) (w *Witness, err error) {
	w = &Witness{}
	w.Witness, err = judge.Listen(func(behaviour string, a judge.Arrival, out http.ResponseWriter) {
		record.Write(history.ArrivalsFile, a)
		w.Total.Add(1)
		switch {
		case rand.Int64N(1000) < w.Rude.Load():
			panic(http.ErrAbortHandler) // net/http's way to break the connection
		case behaviour == "slow":
			time.Sleep(slowAnswer)
		case behaviour == "flaky" && a.Attempt == 1:
			http.Error(out, "not this time", http.StatusServiceUnavailable)
			return
		}
		a.At = time.Now()
		record.Write(history.AnswersFile, a)
	})
	return w, err
}

// The kinds of bodies that the tasks carry which clients create.
const (
	SmallBodies  int32 = iota
	PoisonBodies       // short to write, and long for whoever reads numbers or builds trees
	LargeBodies
)

// Payload is that of the nth create. One body of twenty is large or poisonous while such
// bodies are asked for.
func (r *Rig) Payload(behaviour string, n int64) []byte {
	body := ""
	switch kind := r.Bodies.Load(); {
	case n%20 != 0:
	case kind == LargeBodies:
		body = `"` + strings.Repeat("x", 250_000) + `"`
	case kind == PoisonBodies:
		body = []string{
			`{"n":[` + strings.Repeat("1e308,", 40_000) + `1]}`,
			strings.Repeat("[", 60) + strings.Repeat("]", 60),
			`{` + strings.Repeat(`"a":1,`, 40_000) + `"b":2}`,
		}[n/20%3]
	}
	return r.Witness.Payload(behaviour, n, []byte(body))
}

// Pause waits, and reports whether ctx did not end meanwhile.
func Pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Wait asks again and again whether it is enough, for so long or until ctx ends, and
// reports whether it was. To ask takes up at most a fifth of the time.
func Wait(ctx context.Context, limit time.Duration, enough func() (bool, error)) (bool, error) {
	for deadline := time.Now().Add(limit); ; {
		asked := time.Now()
		done, err := enough()
		if err != nil || done {
			return done, err
		}
		if time.Now().After(deadline) || !Pause(ctx, max(10*time.Millisecond, 4*time.Since(asked))) {
			return false, nil
		}
	}
}

// Retry tries again until it goes well, for so long or until ctx ends, and returns the
// last error then.
func Retry(ctx context.Context, limit time.Duration, once func() error) (err error) {
	_, _ = Wait(ctx, limit, func() (bool, error) {
		err = once()
		return err == nil, nil
	})
	return err
}
