package worker

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/telemetry"
)

// startSpan begins the span of an attempt. It is the root of a trace of its own: the create may
// be months away, and a trace that lasts as long is cut by whatever keeps it. It links to the
// create's, if the caller had a trace.
func (w *Worker) startSpan(a *attempt) {
	if w.cfg.Tracer == nil {
		return
	}
	t := a.task
	delay, _ := t.StartDelay()
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(
			attribute.String("timewheel.task.id", t.ID.String()),
			attribute.String("timewheel.task.type", t.Type),
			attribute.Int("timewheel.task.attempt", t.Attempt),
			attribute.Int("timewheel.task.max_attempts", t.MaxAttempts),
			attribute.Float64("timewheel.task.lateness_seconds", delay.Seconds()),
			attribute.String("timewheel.worker.id", a.run.session.id.String())),
	}
	if creator := telemetry.ParseTraceParent(t.TraceParent); creator.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: creator}))
	}
	_, a.span = w.cfg.Tracer.Start(context.Background(), "execute "+t.Type, options...)
}

// handlerContext is the context of the attempt, with its span if there is one.
func (a *attempt) handlerContext() context.Context {
	if a.span == nil {
		return &a.ctx
	}
	return trace.ContextWithSpan(&a.ctx, a.span)
}

// endSpan ends the span of an attempt whose end is known. A failure's message stays out of it: it may
// quote what a handler was given.
func (a *attempt) endSpan(outcome string) {
	if a.span == nil {
		return
	}
	a.span.SetAttributes(attribute.String("timewheel.task.outcome", outcome))
	if outcome != string(task.Done) {
		a.span.SetStatus(codes.Error, outcome)
	}
	a.span.End()
}
