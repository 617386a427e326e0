package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

// run answers POST /task/<id>/run: the task is due now. It is carried out, whether or not the
// client still waits.
func (a *api) run(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	var f faults
	expected := readMatch(c.Request.Header.Values(matchHeader), &f)
	if err := f.err(); err != nil {
		return err
	}
	changed, err := a.reach.Change(c.Request.Context(), id, func(t *task.Task) (task.Change, error) {
		return task.Change{Now: true}, expected.check(t)
	})
	if err != nil {
		return err
	}
	return replyTask(c, http.StatusOK, changed)
}
