package httpapi

import (
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/task"
)

const keyHeader = "Idempotency-Key"

// created is the answer to POST /task.
type created struct {
	TaskID string `json:"task_id" format:"uuid" doc:"names the task for its whole life" example:"0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"`
}

// create answers POST /task with this body. A draft that was handed to the store is
// carried out, whether or not the client still waits.
func (a *api) create(c *gin.Context, body []byte) error {
	draft, err := a.decodeDraft(c.Request.Context(), body, c.Request.Header[keyHeader])
	if err != nil {
		return err
	}
	id, err := a.reach.Create(c.Request.Context(), draft)
	if err != nil {
		return err
	}
	text := id.String()
	c.Header("Location", "/task/"+text)
	c.Data(http.StatusCreated, "application/json", []byte(`{"task_id":"`+text+`"}`))
	return nil
}

// isMediaType reports whether a body is of a media type, in UTF-8 and not compressed.
func isMediaType(header http.Header, wanted string) bool {
	if given := header.Get("Content-Type"); given != wanted {
		kind, parameters, err := mime.ParseMediaType(given)
		charset := parameters["charset"]
		if err != nil || kind != wanted || charset != "" && !strings.EqualFold(charset, "utf-8") {
			return false
		}
	}
	coding := header.Get("Content-Encoding")
	return coding == "" || strings.EqualFold(coding, "identity")
}

func malformed(detail string) error {
	p := *errMalformedJSON
	p.Detail = detail
	return &p
}

// get answers GET /task/<id>.
func (a *api) get(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	t, err := a.reach.Get(c.Request.Context(), id)
	if err != nil {
		return err
	}
	return replyTask(c, http.StatusOK, t)
}

// deleted is the answer to DELETE /task/<id>.
type deleted struct {
	TaskID string      `json:"task_id" format:"uuid" doc:"the task that will not execute" example:"0199d2c4-7c1e-7b7e-9f5a-2d1c8f0e4b6a"`
	Status task.Status `json:"status" enum:"deleted" doc:"always deleted"`
}

// delete answers DELETE /task/<id>.
func (a *api) delete(c *gin.Context) error {
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	if err := a.reach.Delete(c.Request.Context(), id); err != nil {
		return err
	}
	return reply(c, http.StatusOK, deleted{TaskID: id.String(), Status: task.Deleted})
}
