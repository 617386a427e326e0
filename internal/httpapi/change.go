package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/task"
)

// mergePatchType is the media type of RFC 7396.
const mergePatchType = "application/merge-patch+json"

// taskPatch is what the body of PATCH /task/<id> asks for.
type taskPatch struct {
	api    *api
	ctx    context.Context // the request's
	faults faults
	// to is what does not depend on the task, and payload and retry are merged into what it
	// has; nil, if they are not sent.
	to             task.Change
	payload, retry jsontext.Value
	// labels are merged if setLabels; nil drops all.
	labels    map[string]*string
	setLabels bool
}

// change answers PATCH /task/<id> with this body. It is carried out, whether or not the client
// still waits.
func (a *api) change(c *gin.Context, body []byte) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	p := taskPatch{api: a, ctx: c.Request.Context()}
	expected := readMatch(c.Request.Header.Values(matchHeader), &p.faults)
	if err := p.read(body); err != nil {
		return err
	}
	changed, err := a.reach.Change(c.Request.Context(), id, func(t *task.Task) (task.Change, error) {
		if err := expected.check(t); err != nil {
			return task.Change{}, err
		}
		return p.of(t)
	})
	if err != nil {
		return err
	}
	return replyTask(c, http.StatusOK, changed)
}

// read reads the members, of which the last of a name counts, and lists everything that is wrong
// with them.
func (p *taskPatch) read(body []byte) error {
	members := make([]jsontext.Value, len(taskFields))
	err := readBody(body, func(name []byte, value jsontext.Value) {
		for i := range taskFields {
			if taskFields[i].name != string(name) {
				continue
			}
			if taskFields[i].patch == nil {
				p.faults.add(taskFields[i].name, "cannot be changed")
			}
			members[i] = value
			return
		}
		p.faults.add(shorten(string(name)), "is not known")
	})
	if err != nil {
		return err
	}
	for i := range taskFields {
		if members[i] != nil && taskFields[i].patch != nil {
			taskFields[i].patch(p, members[i])
		}
	}
	return p.faults.err()
}

func (p *taskPatch) readTime(raw jsontext.Value) {
	at := readTime(raw, &p.faults)
	p.to.ExecutionTime = &at
}

func (p *taskPatch) readAttempts(raw jsontext.Value) {
	p.to.MaxAttempts = readCount(raw, "max_attempts", task.MaxAttemptsLimit, &p.faults)
}

// readPayload checks what is merged by itself too, which bounds what a merge costs.
func (p *taskPatch) readPayload(raw jsontext.Value) {
	p.payload = raw
	if raw.Kind() == 'n' {
		return
	}
	if err := checkPayload(raw); err != nil {
		p.faults.add("payload", err.Error())
	}
}

// of is what becomes of a task, or everything that is wrong with that.
func (p *taskPatch) of(t *task.Task) (task.Change, error) {
	var f faults
	to := p.to
	if to.MaxAttempts != 0 && to.MaxAttempts <= t.Attempt {
		f.add("max_attempts", "must be more than the "+strconv.Itoa(t.Attempt)+" attempts that were made")
	}
	if p.payload != nil {
		p.mergePayload(t, &to, &f)
	}
	if p.retry != nil {
		if err := p.mergeRetry(t, &to, &f); err != nil {
			return to, err
		}
	}
	if p.setLabels {
		p.mergeLabels(t, &to, &f)
	}
	checkBounds(t, &to, &f)
	return to, f.err()
}

func (p *taskPatch) mergePayload(t *task.Task, to *task.Change, f *faults) {
	to.SetPayload = true
	if p.payload.Kind() != 'n' {
		merged := mergePatch(jsontext.Value(t.Payload), p.payload)
		if err := checkPayload(merged); err != nil {
			f.add("payload", err.Error())
			return
		}
		to.Payload = []byte(merged)
	}
	declared, known, err := p.api.reach.Find(p.ctx, t.Type)
	if !known {
		f.undeclared("task_type", err)
		return
	}
	for _, fault := range p.api.validate(declared, to.Payload) {
		f.add(fault.Field, fault.Message)
	}
}
