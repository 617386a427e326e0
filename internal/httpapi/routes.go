package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/timewheel/timewheel/internal/access"
)

// routes declares what the API answers, and what a key needs for it. A route that is not declared
// here is refused while keys are asked for, see authorize.
type routes struct {
	api    *api
	router *gin.Engine
}

// route names one as the router does.
type route struct{ method, path string }

func (r routes) add(scope access.Scopes, method, path string, handlers ...gin.HandlerFunc) {
	r.api.scopes[route{method, path}] = scope
	r.router.Handle(method, path, handlers...)
}

// get declares GET and HEAD of a path.
func (r routes) get(path string, scope access.Scopes, do func(*gin.Context) error) {
	handler := r.api.limited(do)
	r.add(scope, http.MethodGet, path, handler)
	r.add(scope, http.MethodHead, path, handler)
}

func (r routes) delete(path string, scope access.Scopes, do func(*gin.Context) error) {
	r.add(scope, http.MethodDelete, path, r.api.limited(do))
}

// act declares a POST that has no body.
func (r routes) act(path string, scope access.Scopes, do func(*gin.Context) error) {
	r.add(scope, http.MethodPost, path, r.api.withoutBody, r.api.limited(do))
}

// A request with a body takes its place when the body has arrived: those who only announce one
// keep nobody out. So these take what withBody makes.

func (r routes) post(path string, scope access.Scopes, handler gin.HandlerFunc) {
	r.add(scope, http.MethodPost, path, handler)
}

func (r routes) put(path string, scope access.Scopes, handler gin.HandlerFunc) {
	r.add(scope, http.MethodPut, path, handler)
}

func (r routes) patch(path string, scope access.Scopes, handler gin.HandlerFunc) {
	r.add(scope, http.MethodPatch, path, handler)
}

// open declares GET and HEAD of a path that needs no key and no place.
func (r routes) open(path string, handler gin.HandlerFunc) {
	r.add(access.Open, http.MethodGet, path, handler)
	r.add(access.Open, http.MethodHead, path, handler)
}
