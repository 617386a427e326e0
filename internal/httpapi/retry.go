package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

// retry answers POST /task/<id>/retry with a new task. It is carried out, whether or not the client
// still waits.
func (a *api) retry(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	var f faults
	key := readKey(c.Request.Header[keyHeader], &f)
	if err := f.err(); err != nil {
		return err
	}
	// What has ended stays as it is, so it is looked at before.
	old, err := a.reach.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	if err := a.checkRetry(c.Request.Context(), old); err != nil {
		return err
	}
	made, err := a.reach.Retry(c.Request.Context(), id, key)
	if state, is := errors.AsType[*task.StatusError](err); is {
		return notRetried(state.Status)
	}
	if err != nil {
		return err
	}
	c.Header("Location", "/task/"+made.ID.String())
	return replyTask(c, http.StatusCreated, made)
}

// checkRetry lists what is wrong with a task as a new one: its type may have changed.
func (a *api) checkRetry(ctx context.Context, old *task.Task) error {
	if old.Status != task.Failed && old.Status != task.Deleted {
		return notRetried(old.Status)
	}
	var f faults
	declared, known, err := a.reach.Find(ctx, old.Type)
	if !known {
		f.undeclared("task_type", err)
		return f.err()
	}
	for _, fault := range a.validate(declared, old.Payload) {
		f.add(fault.Field, fault.Message)
	}
	return f.err()
}

func notRetried(status task.Status) error {
	p := *errNotRetried
	p.TaskStatus = status
	return &p
}
