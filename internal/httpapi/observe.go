package httpapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

const requestIDHeader = "X-Request-Id"

// statusClientGone is counted, never sent: the client left before its answer.
const statusClientGone = 499

func newDuration(registry *prometheus.Registry) *prometheus.HistogramVec {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "timewheel_http_request_duration_seconds",
		Help:    "Time from a request's header to its answer; its count is the number of requests.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"method", "route", "code"})
	registry.MustRegister(duration)
	return duration
}

// observe surrounds every request: it names it, recovers its panics, and
// counts it.
func (a *api) observe(c *gin.Context) {
	started := time.Now()
	id := c.GetHeader(requestIDHeader)
	if !visible(id, maxRequestID) {
		id = rand.Text()
	}
	c.Header(requestIDHeader, id)
	span := a.startSpan(c)

	defer func() {
		headersSent := false
		if cause := recover(); cause != nil {
			headersSent = a.recoverPanic(c, cause)
		}
		endSpan(c, span)
		took := time.Since(started)
		method, route := labels(c)
		a.duration.WithLabelValues(method, route, strconv.Itoa(c.Writer.Status())).Observe(took.Seconds())
		if a.log.Enabled(c.Request.Context(), slog.LevelDebug) { // boxing the attributes costs the hot path
			a.log.DebugContext(c.Request.Context(), "request", "request_id", id, "method", method, "route", route,
				"status", c.Writer.Status(), "bytes", c.Writer.Size(), "duration", took)
		}
		if headersSent {
			panic(http.ErrAbortHandler) // cuts the connection: half an answer must not pass for one
		}
	}()
	c.Next()
}

// recoverPanic answers 500 after a panic. It reports whether that came too late,
// as part of another answer was sent.
func (a *api) recoverPanic(c *gin.Context, cause any) (headersSent bool) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	a.log.ErrorContext(c.Request.Context(), "request panicked", "request_id", requestID(c),
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if c.Writer.Written() {
		return true
	}
	a.writeProblem(c, errInternal)
	return false
}

// limited makes a gin handler of one that takes a place among the work in flight, or is refused
// before anything is read.
func (a *api) limited(do func(*gin.Context) error) gin.HandlerFunc {
	return a.answer(func(c *gin.Context) error {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
			return do(c)
		default:
			return errOverloaded
		}
	})
}

func requestID(c *gin.Context) string { return c.Writer.Header().Get(requestIDHeader) }

// labels names a request with few words, whatever clients make up.
func labels(c *gin.Context) (method, route string) {
	method, route = c.Request.Method, c.FullPath()
	if route == "" {
		return "other", "none"
	}
	return method, route
}

const maxRequestID = 128

// visible reports whether s is 1 to limit visible ASCII characters.
func visible(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
