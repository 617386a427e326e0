package httpapi

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
)

// page is the answer to GET /task.
type page struct {
	Tasks      []taskResponse `json:"tasks" nullable:"false" doc:"newest first"`
	NextCursor *string        `json:"next_cursor" doc:"the cursor of the next page, or null on the last one"`
}

// list answers GET /task.
func (a *api) list(c *gin.Context) error {
	filter, err := a.parseFilter(c.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	tasks, more, err := a.reader.List(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	body := page{Tasks: make([]taskResponse, len(tasks))}
	for i := range tasks {
		body.Tasks[i] = taskResponse{&tasks[i]}
	}
	if more {
		cursor := encodeCursor(tasks[len(tasks)-1].ID)
		body.NextCursor = &cursor
		c.Header("Link", "<"+nextPage(filter, cursor)+`>; rel="next"`)
	}
	return reply(c, http.StatusOK, body)
}

// parseFilter reads the query of GET /task and lists everything that is wrong
// with it.
func (a *api) parseFilter(query string) (task.Filter, error) {
	filter := task.Filter{Limit: task.DefaultPage}
	values, err := url.ParseQuery(query)
	if err != nil {
		return filter, invalidFields(FieldError{"query", "is not encoded as a query should be"})
	}
	var f faults
	for _, name := range slices.Sorted(maps.Keys(values)) {
		given, wrong := values[name], ""
		value := given[0]
		switch {
		case !slices.Contains([]string{"status", "type", "limit", "cursor"}, name):
			wrong = "is not known; there are status, type, limit and cursor"
		case len(given) > 1:
			wrong = "is given more than once"
		case name == "status":
			filter.Status = task.Status(value)
			if !filter.Status.Valid() {
				wrong = "is not a status: submitted, started_executing, done, failed or deleted"
			}
		case name == "type":
			filter.Type = value
			if _, declared, err := a.types.Find(value); !declared {
				f.undeclared(name, err)
			}
		case name == "limit":
			n, err := strconv.ParseUint(value, 10, 31)
			if err != nil || n < 1 || n > task.MaxPage {
				wrong = "must be a whole number from 1 to " + strconv.Itoa(task.MaxPage)
			}
			filter.Limit = int(n)
		case name == "cursor":
			before, ok := decodeCursor(value)
			if !ok {
				return filter, errInvalidCursor
			}
			filter.Before = before
		}
		if wrong != "" {
			f.add(shorten(name), wrong)
		}
	}
	return filter, f.err()
}

// nextPage is the list's own path with the same filter further on.
func nextPage(filter task.Filter, cursor string) string {
	query := url.Values{"limit": {strconv.Itoa(filter.Limit)}, "cursor": {cursor}}
	if filter.Status != "" {
		query.Set("status", string(filter.Status))
	}
	if filter.Type != "" {
		query.Set("type", filter.Type)
	}
	return "/task?" + query.Encode()
}

// cursorVersion leads every cursor, so that a later form can be told apart.
const cursorVersion = 1

var cursorEncoding = base64.RawURLEncoding.Strict()

// encodeCursor names the place after the task of this id. It does not depend
// on the filter.
func encodeCursor(last task.ID) string {
	return cursorEncoding.EncodeToString(append([]byte{cursorVersion}, last[:]...))
}

func decodeCursor(cursor string) (task.ID, bool) {
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 1+len(task.ID{}) || raw[0] != cursorVersion || strings.ContainsAny(cursor, "\r\n") {
		return task.ID{}, false
	}
	return task.ID(raw[1:]), true
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
