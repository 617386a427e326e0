package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

// cancel answers POST /task/<id>/cancel: as DELETE for a task that has not started, and with the
// task for one that runs. It is carried out, whether or not the client still waits.
func (a *api) cancel(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	t, err := a.reach.Cancel(c.Request.Context(), id)
	if err != nil {
		return err
	}
	if t.Status == task.Deleted {
		return reply(c, http.StatusOK, deleted{TaskID: id.String(), Status: task.Deleted})
	}
	return replyTask(c, http.StatusAccepted, t)
}
