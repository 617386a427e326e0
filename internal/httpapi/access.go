package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
)

// Keys is how the API knows who calls, and changes who may.
type Keys interface {
	// Find is the key of a text. The error is access.ErrNoSuchKey if it is not good, and any
	// other if that cannot be said now.
	Find(ctx context.Context, text string) (*access.Key, error)
	// CreateKey stores a key, and returns it with its text, which nobody has afterwards.
	CreateKey(ctx context.Context, wanted access.NewKey, maker *access.Key) (made *access.Key, text string, err error)
	ListKeys(ctx context.Context) ([]access.Key, error)
	GetKey(ctx context.Context, id uuid.UUID) (*access.Key, error)
	// RevokeKey returns once no node accepts the key any more.
	RevokeKey(ctx context.Context, id uuid.UUID) error

	// Audit writes an event, and AuditOutcome the status and object of one that is written.
	Audit(ctx context.Context, e access.Event) error
	AuditOutcome(ctx context.Context, e access.Event) error
	// ListAudit reads events before a place, newest first. Nil is the newest of all.
	ListAudit(ctx context.Context, before *access.Place, limit int) ([]access.Event, error)
}

// authorize comes before every route while keys are asked for. It finds the key, puts it into the
// request's context, and refuses what it does not permit. What the key may see of what a route
// reaches is decided in reach.go.
func (a *api) authorize(c *gin.Context) {
	path := c.FullPath()
	scope, declared := a.scopes[route{c.Request.Method, path}]
	if path == "" || declared && scope == access.Open {
		return // there is nothing, or it is for everybody
	}
	key, err := a.caller(c.Request)
	if err != nil {
		a.refuse(c, err)
		return
	}
	c.Request = c.Request.WithContext(access.With(c.Request.Context(), key))
	if !declared || !key.Scopes.Has(scope) {
		a.auditRefusal(c, key)
		a.refuse(c, needs(scope))
		return
	}
	if isChange(c.Request.Method, scope) {
		a.audited(c, key)
	}
}

func (a *api) refuse(c *gin.Context, err error) {
	a.writeProblem(c, err)
	c.Abort()
}

// caller finds the key of a request. Whatever is wrong with it, the answer is the same.
func (a *api) caller(r *http.Request) (*access.Key, error) {
	sent := r.Header["Authorization"]
	if len(sent) == 0 {
		return nil, errNoKey
	}
	scheme, text, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return nil, errBadKey
	}
	return a.keys.Find(r.Context(), text)
}

// needs is the answer to a key that lacks a scope.
func needs(scope access.Scopes) error {
	p := *errForbidden
	p.Detail = "This needs a key with the scope " + scope.String() + "."
	return &p
}

// keyOf is the key of a request for a route that keys are needed for. There is none while
// nobody is asked for one: then everybody would make keys for the time after.
func (a *api) keyOf(c *gin.Context) (*access.Key, error) {
	key := access.From(c.Request.Context())
	if key == nil {
		return nil, errAuthOff
	}
	return key, nil
}
