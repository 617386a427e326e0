package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
)

// isChange reports whether a request is one that the audit has. Creating is not, and what is done
// by lease stands with the tasks.
func isChange(method string, scope access.Scopes) bool {
	return (scope == access.Change || scope == access.Admin) && method != http.MethodGet && method != http.MethodHead
}

// objectKey is where a handler says what it has changed, if its path does not.
const objectKey = "audit object"

// audited carries a request out between two writes. The first one has to be there before anything
// is changed, so no change is without its row; the second one says what came of it. A node that
// dies in between leaves a row without a status.
func (a *api) audited(c *gin.Context, key *access.Key) {
	event, err := a.newEvent(c, key)
	if err == nil {
		err = a.keys.Audit(c.Request.Context(), event)
	}
	if err != nil {
		a.refuse(c, err)
		return
	}
	answered := false
	defer func() {
		status := c.Writer.Status()
		if !answered { // it panics, and is answered later
			status = http.StatusInternalServerError
		}
		event.Status, event.Object = &status, objectOf(c)
		if err := a.keys.AuditOutcome(context.WithoutCancel(c.Request.Context()), event); err != nil {
			a.log.WarnContext(c.Request.Context(), "the audit lacks an outcome", "request_id", event.RequestID, "error", err)
		}
	}()
	c.Next()
	answered = true
}

// auditRefusal notes what a key was refused. It is refused in any case.
func (a *api) auditRefusal(c *gin.Context, key *access.Key) {
	event, err := a.newEvent(c, key)
	if err == nil {
		status := http.StatusForbidden
		event.Status = &status
		err = a.keys.Audit(context.WithoutCancel(c.Request.Context()), event)
	}
	if err != nil {
		a.log.WarnContext(c.Request.Context(), "the audit lacks a refusal", "request_id", requestID(c), "error", err)
	}
}

func (a *api) newEvent(c *gin.Context, key *access.Key) (access.Event, error) {
	id, err := uuid.NewV7()
	return access.Event{
		ID: id, KeyID: key.ID, KeyName: key.Name, Method: c.Request.Method, Route: c.FullPath(), Object: objectOf(c),
		RequestID: requestID(c),
	}, err
}

// objectOf is what the handler has named, else what the path names, as far as it can be stored.
func objectOf(c *gin.Context) string {
	object := c.GetString(objectKey)
	if object == "" && len(c.Params) > 0 {
		object = c.Params[0].Value
	}
	const most = 300
	object = strings.ToValidUTF8(strings.ReplaceAll(object, "\x00", ""), "")
	if len(object) > most {
		object = strings.ToValidUTF8(object[:most], "") + "..."
	}
	return object
}

type eventShown struct {
	ID        string `json:"id" format:"uuid" doc:"the event"`
	At        string `json:"at" format:"date-time" doc:"when it began"`
	KeyID     string `json:"key_id" format:"uuid" doc:"the key with which it was asked for"`
	KeyName   string `json:"key_name" doc:"the name of that key" example:"ci"`
	Method    string `json:"method" example:"DELETE" doc:"the request's method"`
	Route     string `json:"route" example:"/task/:id" doc:"the request's path, with names in place of values"`
	Object    string `json:"object" doc:"what the path names: the id of a task or a key, the name of a type or a schedule"`
	Status    *int   `json:"status" doc:"the status of the answer: 403 was refused. null: it is in work, or its node died, and it may or may not have been carried out"`
	RequestID string `json:"request_id" doc:"names the request in the log"`
}

// auditPage is the answer to GET /audit.
type auditPage struct {
	Events     []eventShown `json:"events" nullable:"false" doc:"newest first"`
	NextCursor *string      `json:"next_cursor" doc:"the cursor of the next page, or null on the last one"`
}

const (
	defaultEvents = 50
	maxEvents     = 500
)

// listAudit answers GET /audit.
func (a *api) listAudit(c *gin.Context) error {
	key, err := a.keyOf(c)
	if err != nil {
		return err
	}
	if key.Bound() { // events do not say which types they concern
		return errBound
	}
	limit, before, err := readAuditQuery(c)
	if err != nil {
		return err
	}
	events, err := a.keys.ListAudit(c.Request.Context(), before, limit+1)
	if err != nil {
		return err
	}
	body := auditPage{Events: []eventShown{}}
	for i, e := range events {
		if i == limit {
			cursor := encodePlace(events[i-1])
			body.NextCursor = &cursor
			break
		}
		body.Events = append(body.Events, eventShown{
			e.ID.String(), formatTime(e.At), e.KeyID.String(), e.KeyName, e.Method, e.Route, e.Object, e.Status, e.RequestID,
		})
	}
	return reply(c, http.StatusOK, body)
}

func readAuditQuery(c *gin.Context) (limit int, before *access.Place, err error) {
	limit = defaultEvents
	var f faults
	for name, given := range c.Request.URL.Query() {
		switch name {
		case "limit":
			if limit, err = strconv.Atoi(given[0]); err != nil || limit < 1 || limit > maxEvents {
				f.add(name, "must be a whole number from 1 to "+strconv.Itoa(maxEvents))
			}
		case "cursor":
			if before, err = decodePlace(given[0]); err != nil {
				return 0, nil, errInvalidCursor
			}
		default:
			f.add(shorten(name), "is not known; there are limit and cursor")
		}
	}
	return limit, before, f.err()
}

func encodePlace(e access.Event) string {
	raw := binary.BigEndian.AppendUint64([]byte{cursorVersion}, uint64(e.At.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, e.ID[:]...))
}

func decodePlace(cursor string) (*access.Place, error) {
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 1+8+16 || raw[0] != cursorVersion {
		return nil, errors.New("not a place")
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(raw[1:9]))).UTC() //nolint:gosec // G115: as it was written
	return &access.Place{At: at, ID: uuid.UUID(raw[9:])}, nil
}
