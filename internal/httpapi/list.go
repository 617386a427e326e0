package httpapi

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// page is the answer to GET /task.
type page struct {
	Tasks      []taskResponse `json:"tasks" nullable:"false" doc:"in the order that was asked for"`
	NextCursor *string        `json:"next_cursor" doc:"the cursor of the next page, or null on the last one; an empty page may have a next one"`
}

// list answers GET /task.
func (a *api) list(c *gin.Context) error {
	filter, err := a.parseFilter(c.Request.Context(), c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	found, err := a.reach.List(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	body := page{Tasks: make([]taskResponse, len(found.Tasks))}
	for i := range found.Tasks {
		body.Tasks[i] = taskResponse{&found.Tasks[i]}
	}
	if found.Next != nil {
		cursor := encodeCursor(&filter, *found.Next)
		body.NextCursor = &cursor
		c.Header("Link", "<"+nextPage(&filter, cursor)+`>; rel="next"`)
	}
	return reply(c, http.StatusOK, body)
}

// nextPage is the list's own path with the same filter further on.
func nextPage(filter *task.Filter, cursor string) string {
	query := filterQuery(filter)
	query.Set("limit", strconv.Itoa(filter.Limit))
	query.Set("cursor", cursor)
	return "/task?" + query.Encode()
}

// parseID reads the one way to write a UUID that the contract has, in either
// case.
func parseID(text string) (task.ID, error) {
	const length = len("00000000-0000-0000-0000-000000000000")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != length {
		return task.ID{}, errInvalidID
	}
	return id, nil
}
