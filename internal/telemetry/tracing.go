package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The values of OTEL_EXPORTER_OTLP_PROTOCOL.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// TracingOptions are where spans are sent and whose they are.
type TracingOptions struct {
	// Endpoint is OTEL_EXPORTER_OTLP_ENDPOINT. Empty: no spans are made.
	Endpoint string
	// Protocol is OTEL_EXPORTER_OTLP_PROTOCOL. Empty: that of the endpoint's port.
	Protocol string
	// Service is the program's name, unless OTEL_SERVICE_NAME says another.
	Service string
	// Instance tells processes of a service apart.
	Instance string
}

// Tracing makes spans and sends them. The SDK reads the other OTEL_ variables: those of the
// sampler, of the batches, of the exporter's headers and certificates, and the resource's attributes.
type Tracing struct {
	// Tracer is nil if no spans are made, so that whoever would make one can tell at once.
	Tracer   trace.Tracer
	provider *sdktrace.TracerProvider
}

// NewTracing prepares the way to the collector. It does not connect: a collector that is away
// is no reason not to work, and is told in the log once a minute.
func NewTracing(ctx context.Context, o TracingOptions, log *slog.Logger) (*Tracing, error) {
	if o.Endpoint == "" {
		return &Tracing{}, nil
	}
	log = log.With("component", "tracing")
	target, err := readTarget(o)
	if err != nil {
		return nil, err
	}
	report := &reporter{log: log}
	// What the SDK says of itself: the first may quote headers, which can be secrets.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(report)
	exporter, err := target.exporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	version, _ := build()
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", o.Service),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", o.Instance)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	// A full queue drops spans, and nobody waits for it.
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(reporting{exporter, report}), sdktrace.WithResource(described))
	log.InfoContext(ctx, "traces are sent", "endpoint", target.String(), "protocol", target.protocol)
	if target.doubt != "" {
		log.WarnContext(ctx, "traces may not arrive", "reason", target.doubt)
	}
	return &Tracing{Tracer: provider.Tracer("github.com/timewheel/timewheel"), provider: provider}, nil
}

// Close sends what is left, for as long as ctx lasts.
func (t *Tracing) Close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// target is where an exporter sends to.
type target struct {
	protocol string
	secure   bool
	host     string // with a port, if one was given
	path     string // of HTTP, with that of the traces
	doubt    string
}

func (t target) String() string {
	scheme := "http"
	if t.secure {
		scheme = "https"
	}
	return scheme + "://" + t.host + t.path
}

// CheckEndpoint says in a clause what is wrong with an endpoint for spans, or nothing.
func CheckEndpoint(endpoint string) string {
	if _, fault := parseEndpoint(endpoint); fault != "" {
		return fault
	}
	return ""
}

// parseEndpoint takes an endpoint without a scheme as one of http. The fault quotes nothing: a
// wrong value may hold a password.
func parseEndpoint(endpoint string) (*url.URL, string) {
	text := endpoint
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, "is not an endpoint such as http://collector:4318, https://collector/otlp or collector:4317"
	case u.User != nil:
		return nil, "has a user or password, which OTEL_EXPORTER_OTLP_HEADERS is for"
	case u.RawQuery != "" || u.Fragment != "":
		return nil, "has a query or a fragment"
	}
	return u, ""
}

func readTarget(o TracingOptions) (target, error) {
	u, fault := parseEndpoint(o.Endpoint)
	if fault != "" {
		return target{}, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT %s", fault)
	}
	t := target{protocol: o.Protocol, secure: u.Scheme == "https", host: u.Host}
	if t.protocol == "" {
		if t.protocol = protocolHTTP; u.Port() == "4317" {
			t.protocol = protocolGRPC
		}
	}
	switch path := strings.TrimRight(u.Path, "/"); {
	case t.protocol == protocolHTTP:
		if u.Port() == "4317" {
			t.doubt = "port 4317 is that of gRPC by custom, and OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf"
		}
		// As the specification has it: the endpoint is a base to which the signal's path is added.
		t.path = path + "/v1/traces"
	case path != "":
		return target{}, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT has a path, which OTEL_EXPORTER_OTLP_PROTOCOL=%s does not know", protocolGRPC)
	default:
		if u.Port() == "4318" {
			t.doubt = "port 4318 is that of HTTP by custom, and OTEL_EXPORTER_OTLP_PROTOCOL is grpc"
		}
		if u.Port() == "" {
			t.host += ":4317"
		}
	}
	return t, nil
}

func (t target) exporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	if t.protocol == protocolGRPC {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(t.host)}
		if !t.secure {
			options = append(options, otlptracegrpc.WithInsecure())
		}
		return otlptracegrpc.New(ctx, options...)
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(t.String()))
}

// reporting tells of exports that fail, and hides the error from the SDK, which has nothing
// better to do with it.
type reporting struct {
	sdktrace.SpanExporter

	report *reporter
}

// ExportSpans sends spans.
func (r reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := r.SpanExporter.ExportSpans(ctx, spans); err != nil {
		r.report.Handle(err)
	}
	return nil
}

// logFailureAgain is how often it is told that spans are lost.
const logFailureAgain = time.Minute

// reporter logs what goes wrong with spans, once a minute while it lasts.
type reporter struct {
	log    *slog.Logger
	mu     sync.Mutex
	logged time.Time
}

// Handle is that of the SDK's errors.
func (r *reporter) Handle(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.logged.IsZero() && time.Since(r.logged) < logFailureAgain {
		return
	}
	r.logged = time.Now()
	r.log.Warn("traces are lost", "error", err)
}

// Instance names this process among those of its service.
func Instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
