package httpapi

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// The members of a task that bound it in place of its type: not_after, timeout and retry. For
// each of them null is what the type says.

func readNotAfter(raw jsontext.Value, f *faults) *time.Time {
	if raw.Kind() == 'n' {
		return nil
	}
	at, err := parseEnd(textOf(raw))
	if err != nil {
		f.add("not_after", err.Error())
	}
	return &at
}

// checkNotAfter comes after the execution time. The one is rounded up and the other down: two
// that are the same may be a microsecond apart.
func checkNotAfter(execution time.Time, notAfter *time.Time, f *faults) {
	if notAfter != nil && notAfter.Before(execution.Add(-time.Microsecond)) {
		f.add("not_after", "is before execution_time, so the task could never start")
	}
}

func readTimeout(raw jsontext.Value, f *faults) *time.Duration {
	if raw.Kind() == 'n' {
		return nil
	}
	d, _ := readDuration(raw, "timeout", minTimeout, maxTimeout, f)
	return &d
}

func (m *taskMembers) readBounds(name string, raw jsontext.Value, draft *task.Draft) {
	if raw == nil {
		return
	}
	switch name {
	case "not_after":
		draft.NotAfter = readNotAfter(raw, m.faults)
		checkNotAfter(draft.ExecutionTime, draft.NotAfter, m.faults)
	case "timeout":
		draft.Timeout = readTimeout(raw, m.faults)
	case "retry":
		if raw.Kind() != 'n' {
			draft.Retry = readRetry(raw, m.faults)
		}
	}
}

func (p *taskPatch) readNotAfter(raw jsontext.Value) {
	p.to.NotAfter = &task.To[time.Time]{Value: readNotAfter(raw, &p.faults)}
}

func (p *taskPatch) readTimeout(raw jsontext.Value) {
	p.to.Timeout = &task.To[time.Duration]{Value: readTimeout(raw, &p.faults)}
}

// readRetry checks what is merged by itself too.
func (p *taskPatch) readRetry(raw jsontext.Value) {
	if p.retry = raw; raw.Kind() != 'n' {
		readRetry(raw, &p.faults)
	}
}

func (p *taskPatch) mergeRetry(t *task.Task, to *task.Change, f *faults) error {
	to.Retry = &task.To[task.Retry]{}
	if p.retry.Kind() == 'n' {
		return nil
	}
	var present jsontext.Value
	if t.Retry != nil {
		encoded, err := json.Marshal(showRetry(t.Retry))
		if err != nil {
			return err
		}
		present = encoded
	}
	to.Retry.Value = readRetry(mergePatch(present, p.retry), f)
	return nil
}

// checkBounds is checkNotAfter for a task after a change.
func checkBounds(t *task.Task, to *task.Change, f *faults) {
	execution, notAfter := t.ExecutionTime, t.NotAfter
	if to.ExecutionTime != nil {
		execution = *to.ExecutionTime
	}
	if to.NotAfter != nil {
		notAfter = to.NotAfter.Value
	}
	if to.ExecutionTime != nil || to.NotAfter != nil {
		checkNotAfter(execution, notAfter, f)
	}
}

func retrySchema(description string) huma.Schema {
	return huma.Schema{
		Type: "object", AdditionalProperties: false, Nullable: true,
		Description: description,
		Properties: map[string]*huma.Schema{
			"delay":     property(durationSchema("after the first attempt", "1s")),
			"factor":    {Type: "number", Minimum: number(1), Maximum: number(maxFactor), Default: 2, Description: "how many times as long after each one more"},
			"max_delay": property(durationSchema("the longest wait", "1h")),
			"jitter":    {Type: "number", Minimum: number(0), Maximum: number(1), Default: 0.2, Description: "the part that is more or less by chance"},
		},
	}
}

func readRetry(raw jsontext.Value, f *faults) *task.Retry {
	r := task.DefaultRetry()
	unlessNull := func(read func(jsontext.Value)) func(jsontext.Value) {
		return func(v jsontext.Value) {
			if v.Kind() != 'n' {
				read(v)
			}
		}
	}
	readObject(raw, "retry", f, map[string]func(jsontext.Value){
		"delay": unlessNull(func(v jsontext.Value) {
			r.Delay, _ = readDuration(v, "retry.delay", time.Millisecond, maxRetryDelay, f)
		}),
		"max_delay": unlessNull(func(v jsontext.Value) {
			r.MaxDelay, _ = readDuration(v, "retry.max_delay", time.Millisecond, maxRetryDelay, f)
		}),
		"factor": unlessNull(func(v jsontext.Value) { r.Factor = readNumber(v, "retry.factor", 1, maxFactor, f) }),
		"jitter": unlessNull(func(v jsontext.Value) { r.Jitter = readNumber(v, "retry.jitter", 0, 1, f) }),
	})
	return &r
}

func showRetry(r *task.Retry) any {
	if r == nil {
		return nil
	}
	return struct {
		Delay    string  `json:"delay"`
		Factor   float64 `json:"factor"`
		MaxDelay string  `json:"max_delay"`
		Jitter   float64 `json:"jitter"`
	}{formatDuration(r.Delay), r.Factor, formatDuration(r.MaxDelay), r.Jitter}
}
