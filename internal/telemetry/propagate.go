package telemetry

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Headers of W3C Trace Context, as net/http spells them.
const (
	traceParentHeader = "Traceparent"
	traceStateHeader  = "Tracestate"
	// maxTraceParent is generous: a later version of the header may have more fields.
	maxTraceParent = 256
	// maxTraceState is what the specification asks to be passed on at least.
	maxTraceState = 512
)

var traceContext propagation.TraceContext

// Extract reads the caller's trace context from a request's header into ctx. A header that is
// given twice, or is not as W3C Trace Context says, is as none.
func Extract(ctx context.Context, header http.Header) context.Context {
	given := header[traceParentHeader]
	if len(given) != 1 || len(given[0]) > maxTraceParent {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": given[0]}
	if state := header[traceStateHeader]; len(state) == 1 && len(state[0]) <= maxTraceState {
		carrier["tracestate"] = state[0]
	}
	return traceContext.Extract(ctx, carrier)
}

// Inject writes the trace context of ctx into a header, in the place of what is there. If there
// is none, the header stays as it is.
func Inject(ctx context.Context, header http.Header) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	header.Del(traceStateHeader) // of another one's traceparent
	traceContext.Inject(ctx, propagation.HeaderCarrier(header))
}

// TraceParent is a span context as the header's text.
func TraceParent(sc trace.SpanContext) string {
	carrier := propagation.MapCarrier{}
	traceContext.Inject(trace.ContextWithSpanContext(context.Background(), sc), carrier)
	return carrier["traceparent"]
}

// ParseTraceParent is the reverse. It is not valid if the text is not.
func ParseTraceParent(text string) trace.SpanContext {
	return trace.SpanContextFromContext(Extract(context.Background(), http.Header{traceParentHeader: {text}}))
}

type creatorKey struct{}

// WithCreator says that what is created in ctx is linked to a span.
func WithCreator(ctx context.Context, sc trace.SpanContext) context.Context {
	return context.WithValue(ctx, creatorKey{}, TraceParent(sc))
}

// Creator is the traceparent that a task is to keep which is created in ctx, or empty.
func Creator(ctx context.Context) string {
	text, _ := ctx.Value(creatorKey{}).(string)
	return text
}
