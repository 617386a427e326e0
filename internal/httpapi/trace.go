package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/timewheel/timewheel/internal/telemetry"
)

// untraced are the routes that machines ask all the time.
var untraced = map[string]bool{"/livez": true, "/readyz": true, "/metrics": true}

// startSpan begins the span of a request, a child of the caller's, if there is one. What it
// tells is the route's pattern and no part of the request that a client makes up: neither path nor
// query, header nor body. The span is nil if none is made.
//
// A task that is created by a caller with a trace context keeps the span of this request; or the
// caller's, if it asked for no spans.
func (a *api) startSpan(c *gin.Context) trace.Span {
	method, route := labels(c)
	if a.tracer == nil || untraced[route] {
		return nil
	}
	ctx := telemetry.Extract(c.Request.Context(), c.Request.Header)
	caller := trace.SpanContextFromContext(ctx)
	ctx, span := a.tracer.Start(ctx, method+" "+route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", method), attribute.String("http.route", route),
		attribute.String("timewheel.request.id", requestID(c))))
	if caller.IsValid() {
		creator := caller
		if span.IsRecording() {
			creator = span.SpanContext()
		}
		ctx = telemetry.WithCreator(ctx, creator)
	}
	c.Request = c.Request.WithContext(ctx)
	return span
}

func endSpan(c *gin.Context, span trace.Span) {
	if span == nil {
		return
	}
	status := c.Writer.Status()
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
