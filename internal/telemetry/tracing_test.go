package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/timewheel/timewheel/internal/telemetry"
	"github.com/timewheel/timewheel/test/testkit/otlp"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracing sends to an endpoint, and returns what was logged.
func tracing(t *testing.T, endpoint, protocol string) (*telemetry.Tracing, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	made, err := telemetry.NewTracing(t.Context(), telemetry.TracingOptions{
		Endpoint: endpoint, Protocol: protocol, Service: "test", Instance: "host/1",
	}, slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, err)
	return made, log
}

// span makes one, and sends it.
func span(t *testing.T, made *telemetry.Tracing) {
	t.Helper()
	_, s := made.Tracer.Start(t.Context(), "work")
	s.End()
	require.NoError(t, made.Close(t.Context()))
}

func TestSpansArriveAtEndpointsOfEveryForm(t *testing.T) {
	for _, test := range []struct{ name, form, protocol, path string }{
		{"a base", "http://HOST", "", "/v1/traces"},
		{"a base and a slash", "http://HOST/", "", "/v1/traces"},
		{"a base with a path", "http://HOST/otlp", "http/protobuf", "/otlp/v1/traces"},
		{"a path and a slash", "http://HOST/otlp/", "", "/otlp/v1/traces"},
		{"no scheme", "HOST", "", "/v1/traces"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sink, url := otlp.HTTP(t)
			made, _ := tracing(t, strings.Replace(test.form, "HOST", strings.TrimPrefix(url, "http://"), 1), test.protocol)
			span(t, made)
			require.Len(t, sink.Named("work"), 1)
			require.Equal(t, "test", sink.Spans()[0].Service)
			require.Equal(t, []string{test.path}, sink.Paths())
		})
	}
	for _, form := range []string{"http://HOST", "http://HOST/", "HOST"} {
		t.Run("grpc "+form, func(t *testing.T) {
			sink, host := otlp.GRPC(t)
			made, _ := tracing(t, strings.Replace(form, "HOST", host, 1), "grpc")
			span(t, made)
			require.Len(t, sink.Named("work"), 1)
		})
	}
}

func TestEndpointsAreReadAsMeantOrDoubted(t *testing.T) {
	for _, test := range []struct{ endpoint, protocol, sent, by, doubt string }{
		{"http://h:4317", "", "http://h:4317", "grpc", ""},
		{"h:4317", "", "http://h:4317", "grpc", ""},
		{"https://h", "grpc", "https://h:4317", "grpc", ""},
		{"https://h/otlp", "", "https://h/otlp/v1/traces", "http/protobuf", ""},
		{"h:4317", "http/protobuf", "http://h:4317/v1/traces", "http/protobuf", "port 4317"},
		{"h:4318", "grpc", "http://h:4318", "grpc", "port 4318"},
	} {
		made, log := tracing(t, test.endpoint, test.protocol)
		require.NoError(t, made.Close(t.Context()))
		require.Contains(t, log.String(), `"endpoint":"`+test.sent+`","protocol":"`+test.by+`"`)
		require.Equal(t, test.doubt != "", strings.Contains(log.String(), "traces may not arrive"), log)
		require.Contains(t, log.String(), test.doubt)
	}
	for endpoint, fault := range map[string]string{
		"http://user:hunter2@h:4318": "OTEL_EXPORTER_OTLP_HEADERS", "ftp://h": "is not an endpoint", "http://": "is not an endpoint",
		"http://h?key=hunter2": "query", ":4318": "is not an endpoint",
	} {
		require.Contains(t, telemetry.CheckEndpoint(endpoint), fault, endpoint)
		require.NotContains(t, telemetry.CheckEndpoint(endpoint), "hunter2")
	}
	_, err := telemetry.NewTracing(t.Context(), telemetry.TracingOptions{Endpoint: "https://h/otlp", Protocol: "grpc"}, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "has a path")
}

// A collector that is away, refuses or says nothing costs spans and a line.
func TestCollectorThatFailsStopsNobody(t *testing.T) {
	refuse := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refuse.Close)
	made, log := tracing(t, refuse.URL, "")
	for range 10_000 { // more than the queue holds
		_, s := made.Tracer.Start(t.Context(), "work")
		s.End()
	}
	require.NoError(t, made.Close(t.Context()))
	require.Equal(t, 1, strings.Count(log.String(), "traces are lost"), "once a minute")

	silent := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-silent:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(silent); hang.Close() })
	made, _ = tracing(t, hang.URL, "")
	_, s := made.Tracer.Start(t.Context(), "work")
	s.End()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, made.Close(ctx), context.DeadlineExceeded)
}

func TestExtractTakesNothingButAValidHeader(t *testing.T) {
	extract := func(values ...string) trace.SpanContext {
		return trace.SpanContextFromContext(telemetry.Extract(t.Context(), http.Header{"Traceparent": values}))
	}
	require.True(t, extract(parent).IsValid())
	require.True(t, extract(parent).IsSampled())
	require.Equal(t, parent, telemetry.TraceParent(extract(parent)))
	unsampled := strings.TrimSuffix(parent, "1") + "0"
	require.True(t, extract(unsampled).IsValid())
	require.Equal(t, unsampled, telemetry.TraceParent(extract(unsampled)))
	for name, values := range map[string][]string{
		"none": nil, "empty": {""}, "twice": {parent, parent},
		"zeros":      {"00-00000000000000000000000000000000-0000000000000000-01"},
		"no span":    {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
		"upper case": {strings.ToUpper(parent)},
		"version ff": {"ff" + parent[2:]},
		"cut":        {parent[:54]}, "longer": {parent + "-00"},
		"10 KB":            {parent + strings.Repeat("a", 10<<10)},
		"10 KB of a later": {"01" + parent[2:] + "-" + strings.Repeat("a", 10<<10)},
	} {
		require.False(t, extract(values...).IsValid(), name)
	}
}

func TestInjectReplacesWhatIsThere(t *testing.T) {
	header := http.Header{"Traceparent": {"mine"}, "Tracestate": {"a=b"}}
	telemetry.Inject(t.Context(), header)
	require.Equal(t, http.Header{"Traceparent": {"mine"}, "Tracestate": {"a=b"}}, header)
	telemetry.Inject(trace.ContextWithSpanContext(t.Context(), telemetry.ParseTraceParent(parent)), header)
	require.Equal(t, http.Header{"Traceparent": {parent}}, header)
}

func TestWithoutTracingNothingIsAllocated(t *testing.T) {
	made, log := tracing(t, "", "")
	require.Nil(t, made.Tracer)
	require.NoError(t, made.Close(t.Context()))
	require.Empty(t, log.String())
	ctx, header := t.Context(), http.Header{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		telemetry.Inject(ctx, header)
		_ = telemetry.Creator(ctx)
	}))
}
