package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/task"
)

// FieldError is one thing wrong with a request.
type FieldError struct {
	Field   string `json:"field" doc:"the member, header or parameter, as a path" example:"payload.url"`
	Message string `json:"message" doc:"what is wrong with it" example:"is required"`
}

// problem is an answer other than success, as RFC 9457 words it. code is what
// programs may rely on.
type problem struct {
	Type       string       `json:"type" doc:"always about:blank; see code" example:"about:blank"`
	Title      string       `json:"title" doc:"the status in words"`
	Status     int          `json:"status" doc:"the HTTP status"`
	Detail     string       `json:"detail" doc:"what to make of it, for a person"`
	Code       string       `json:"code" doc:"what to make of it, for a program; it never changes"`
	RequestID  string       `json:"request_id" doc:"names this request in the service's log" example:"VN3FCK7W5RJYQ2ZSAUBG4XHTML"`
	Errors     []FieldError `json:"errors,omitempty" doc:"everything that is wrong with the request"`
	TaskStatus task.Status  `json:"task_status,omitempty" doc:"the task's present status" enum:"submitted,started_executing,done,failed,deleted"`

	// retryAfter is in seconds; 0 is for answers that a repeat will not change.
	retryAfter int
	// authenticate is the header WWW-Authenticate of a 401.
	authenticate string
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

func newProblem(status int, code, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func newTransient(status int, code, detail string) *problem {
	p := newProblem(status, code, detail)
	p.retryAfter = 1
	return p
}

func newUnauthorized(authenticate, detail string) *problem {
	p := newProblem(401, "unauthorized", detail)
	p.authenticate = authenticate
	return p
}

func newDeleted(detail string) *problem {
	p := newProblem(409, "conflict", detail)
	p.TaskStatus = task.Deleted
	return p
}

// Every problem there is. They are not changed, but copied.
var (
	errMalformedJSON    = newProblem(400, "malformed_json", "The body is not one JSON value.")
	errInvalidID        = newProblem(400, "invalid_id", "The id in the path is not a UUID.")
	errInvalidCursor    = newProblem(400, "invalid_cursor", "The cursor is not one that this service gave out.")
	errOtherCursor      = newProblem(400, "invalid_cursor", "The cursor is that of a list with other filters or another order.")
	errNoKey            = newUnauthorized("Bearer", "This needs a key, sent as Authorization: Bearer tw_...")
	errBadKey           = newUnauthorized(`Bearer error="invalid_token"`, "The key that was sent is not one, or has expired, or was revoked. It is sent as Authorization: Bearer tw_...")
	errForbidden        = newProblem(403, "forbidden", "The key does not permit this.")
	errBound            = newProblem(403, "bound_to_types", "The key is bound to some task types, and this is not among them or concerns all.")
	errBeyond           = newProblem(403, "beyond_maker", "A key that is bound to types makes no key that permits more: with other types or scopes, or without types. None makes a key that is good for longer than itself.")
	errAuthOff          = newProblem(403, "auth_off", "This needs AUTH=keys. Before that, keys are made by: api key create.")
	errCrossOrigin      = newProblem(403, "cross_origin", "A page of another origin may not change anything here.")
	errNotFound         = newProblem(404, "not_found", "There is no task of this id or key.")
	errNoSuchRoute      = newProblem(404, "no_such_route", "There is nothing at this path; see /openapi.json.")
	errMethodNotAllowed = newProblem(405, "method_not_allowed", "The path does not take this method; see the Allow header.")
	errConflict         = newProblem(409, "conflict", "The task has started or ended and can no longer be deleted or changed.")
	errNotRetried       = newProblem(409, "not_retried", "Only a task that has failed or was deleted can be retried.")
	errKeyDeleted       = newDeleted("The task that this Idempotency-Key names was deleted and will not run. A new task needs a new key.")
	errKeyReused        = newProblem(409, "idempotency_key_reused", "This Idempotency-Key came with a different request before.")
	errNoSuchType       = newProblem(404, "no_such_type", "There is no task type of this name.")
	errTypeInUse        = newProblem(409, "type_in_use", "Tasks of this type are open, or a schedule names it. They have to end or to be deleted first.")
	errTypeShips        = newProblem(409, "type_ships", "This type ships with timewheel and cannot be deleted.")
	errTooManyTypes     = newProblem(409, "too_many_types", "There are as many task types as there may be.")
	errNoSuchSchedule   = newProblem(404, "no_such_schedule", "There is no schedule of this name.")
	errTooManySchedules = newProblem(409, "too_many_schedules", "There are as many schedules as there may be.")
	errOlderWorkers     = newTransient(409, "older_workers", "A worker of an older version is up, which does not know this. Stop it first.")
	errNoSuchKey        = newProblem(404, "no_such_key", "There is no key of this id.")
	errTooManyKeys      = newProblem(409, "too_many_keys", "There are as many keys as there may be. Revoke some.")
	errNameTaken        = newProblem(409, "name_taken", "The name is that of a schedule of types that the key does not reach.")
	errTooLarge         = newProblem(413, "body_too_large", "The body is larger than 256 KiB.")
	errBatchTooLarge    = newProblem(413, "body_too_large", "The body is larger than 8 MiB.")
	errMediaType        = newProblem(415, "unsupported_media_type", "The body must be sent as Content-Type: application/json, in UTF-8 and not compressed.")
	errPatchMediaType   = newProblem(415, "unsupported_media_type", "The body must be sent as Content-Type: application/merge-patch+json, in UTF-8 and not compressed.")
	errPrecondition     = newProblem(412, "precondition_failed", "The task is not as If-Match or If-None-Match expects it, and nothing was changed. GET it again.")
	errMisdirected      = newProblem(421, "misdirected", "This API listens on loopback alone and asks for no keys, so it answers to localhost and to the names in API_HOSTS.")
	errInvalid          = newProblem(422, "invalid", "The request cannot be carried out; see errors.")
	errUndeclared       = newProblem(422, "undeclared_type", "The task type was deleted a moment ago.")
	errRejected         = newProblem(422, "rejected_by_store", "The store cannot hold a value of this request.")
	errOverloaded       = newTransient(429, "overloaded", "Too many requests are in work. Repeat the request a little later.")
	errInternal         = newProblem(500, "internal", "Something went wrong here; the log has it under this request id.")
	errUnavailable      = newTransient(503, "unavailable", "The store cannot be reached and nothing was changed. Repeat the request a little later.")
	errOutcomeUnknown   = newTransient(503, "outcome_unknown", "The change was sent to the store and its outcome is not known. Repeat the request, "+
		"a POST with the same Idempotency-Key: it then takes effect once.")
)

// sentinels is the one table from the domain's errors to the contract's.
var sentinels = []struct {
	err     error
	problem *problem
}{
	{access.ErrNoSuchKey, errBadKey},
	{access.ErrBeyond, errBeyond},
	{access.ErrTooManyKeys, errTooManyKeys},
	{task.ErrNameTaken, errNameTaken},
	{task.ErrNotFound, errNotFound},
	{task.ErrKeyReused, errKeyReused},
	{task.ErrPrecondition, errPrecondition},
	{task.ErrUnknownType, errUndeclared},
	{task.ErrNoSuchType, errNoSuchType},
	{task.ErrTypeInUse, errTypeInUse},
	{task.ErrTypeShips, errTypeShips},
	{task.ErrTooManyTypes, errTooManyTypes},
	{task.ErrNoSuchSchedule, errNoSuchSchedule},
	{task.ErrTooManySchedules, errTooManySchedules},
	{task.ErrNoSuchOperation, errNoSuchOperation},
	{task.ErrTooManyOperations, errTooManyOperations},
	{task.ErrOlderWorkers, errOlderWorkers},
	{task.ErrDeleted, errKeyDeleted},
	{task.ErrOverloaded, errOverloaded},
	{task.ErrUnavailable, errUnavailable},
	{task.ErrUnknownOutcome, errOutcomeUnknown},
}

// problemOf words any error.
func problemOf(err error) problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return *p
	}
	if state, ok := errors.AsType[*task.StatusError](err); ok {
		p := *errConflict
		p.TaskStatus = state.Status
		return p
	}
	if refused, ok := errors.AsType[*task.RejectedError](err); ok {
		p := *errRejected
		p.Detail = "The store cannot hold a value of this request: " + refused.Reason
		return p
	}
	for _, known := range sentinels {
		if errors.Is(err, known.err) {
			return *known.problem
		}
	}
	return *errInternal
}

// maxFieldErrors bounds an answer that a client's body can make long.
const maxFieldErrors = 100

// faults collects what is wrong with a request.
type faults struct {
	list []FieldError
	// truncated counts those that found no room in list.
	truncated int
	// unsure is why one of them may be none.
	unsure error
}

func (f *faults) add(field, message string) {
	if len(f.list) == maxFieldErrors {
		f.truncated++
		return
	}
	f.list = append(f.list, FieldError{field, message})
}

// err is the answer to a request with these faults, or nil if there are none.
func (f *faults) err() error {
	if f.unsure != nil {
		return f.unsure
	}
	if f.truncated > 0 {
		return invalidFields(append(f.list, FieldError{"body", "and " + strconv.Itoa(f.truncated) + " more faults"})...)
	}
	if len(f.list) > 0 {
		return invalidFields(f.list...)
	}
	return nil
}

// invalidFields is the answer to a request with these faults.
func invalidFields(list ...FieldError) error {
	p := *errInvalid
	p.Errors = list
	return &p
}

// writeProblem answers with err's problem.
func (a *api) writeProblem(c *gin.Context, err error) {
	ctx := c.Request.Context()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		// The client left while its answer was looked up: nothing failed here.
		c.Status(statusClientGone)
		return
	}
	p := problemOf(err)
	p.RequestID = requestID(c)
	if p.Code == errInternal.Code {
		a.log.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "method", c.Request.Method,
			"route", c.FullPath(), "error", err)
	}
	if p.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.authenticate != "" {
		c.Header("WWW-Authenticate", p.authenticate)
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers always encode
		a.log.ErrorContext(ctx, "problem not encoded", "request_id", p.RequestID, "error", err)
	}
	c.Data(p.Status, "application/problem+json", body)
}
