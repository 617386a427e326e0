package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

// keyInPath reads the key from a path. Its slashes come as they are or as %2F.
func keyInPath(c *gin.Context, f *faults) string {
	key := strings.TrimPrefix(c.Param("key"), "/")
	if !visible(key, task.MaxKeyLength) {
		f.add("key", "must be 1 to "+strconv.Itoa(task.MaxKeyLength)+" visible ASCII characters")
	}
	return key
}

// putByKey answers PUT /task/by-key/<key> with this body, which is that of POST /task. It is
// carried out, whether or not the client still waits.
func (a *api) putByKey(c *gin.Context, body []byte) error {
	var f faults
	members := a.newMembers(c.Request.Context(), &f)
	if err := readBody(body, members.take); err != nil {
		return err
	}
	var draft task.Draft
	members.fill(&draft)
	draft.Key = keyInPath(c, &f)
	refuseReserved("key", draft.Key, &f)
	header := c.Request.Header
	if len(header.Values(keyHeader)) > 0 {
		f.add(keyHeader, "is that of the path here, and must not be sent")
	}
	expected := readMatch(header.Values(matchHeader), &f)
	unused := false
	if values := header.Values(noneMatchHeader); len(values) > 0 {
		unused = true
		if len(values) > 1 || strings.Trim(values[0], " \t") != "*" {
			f.add(noneMatchHeader, "must be *, which stands for: no task of the key is open")
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	put, created, err := a.reach.PutByKey(c.Request.Context(), draft, func(open *task.Task) error {
		switch {
		case open == nil && expected.given, open != nil && unused:
			return task.ErrPrecondition
		case open == nil:
			return nil
		}
		return expected.check(open)
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		c.Header("Location", "/task/"+put.ID.String())
	}
	return replyTask(c, status, put)
}

// getByKey answers GET /task/by-key/<key>.
func (a *api) getByKey(c *gin.Context) error {
	var f faults
	key := keyInPath(c, &f)
	if err := f.err(); err != nil {
		return err
	}
	t, err := a.reach.GetByKey(c.Request.Context(), key)
	if err != nil {
		return err
	}
	return replyTask(c, http.StatusOK, t)
}

// deleteByKey answers DELETE /task/by-key/<key>.
func (a *api) deleteByKey(c *gin.Context) error {
	var f faults
	key := keyInPath(c, &f)
	if err := f.err(); err != nil {
		return err
	}
	id, err := a.reach.DeleteByKey(c.Request.Context(), key)
	if err != nil {
		return err
	}
	return reply(c, http.StatusOK, deleted{TaskID: id.String(), Status: task.Deleted})
}
