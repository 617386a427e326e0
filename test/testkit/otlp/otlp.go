// Package otlp is a collector of traces for tests: it takes spans by OTLP, over HTTP and over gRPC,
// and keeps them.
package otlp

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Sink keeps the spans that it was sent.
type Sink struct {
	collector.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []Span
	paths []string
}

// Span is a span with its ids in hexadecimal.
type Span struct {
	*tracepb.Span

	Service             string
	Trace, ID, ParentID string
	// Links are the linked spans, each as trace/span.
	Links []string
}

// HTTP starts a sink that takes OTLP over HTTP, at the base URL that it returns.
func HTTP(tb testing.TB) (*Sink, string) {
	tb.Helper()
	s := new(Sink)
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	return s, server.URL
}

// GRPC starts a sink that takes OTLP over gRPC, at the host and port that it returns.
func GRPC(tb testing.TB) (*Sink, string) {
	tb.Helper()
	s := new(Sink)
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // which ends with the server
	tb.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return s, listener.Addr().String()
}

// Export is OTLP over gRPC.
func (s *Sink) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		service := Text(resource.GetResource().GetAttributes(), "service.name")
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				kept := Span{
					Span: span, Service: service, Trace: hex.EncodeToString(span.GetTraceId()),
					ID: hex.EncodeToString(span.GetSpanId()), ParentID: hex.EncodeToString(span.GetParentSpanId()),
				}
				for _, link := range span.GetLinks() {
					kept.Links = append(kept.Links, hex.EncodeToString(link.GetTraceId())+"/"+hex.EncodeToString(link.GetSpanId()))
				}
				s.spans = append(s.spans, kept)
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP is OTLP over HTTP.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.paths = append(s.paths, r.URL.Path)
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &request) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	_, _ = s.Export(r.Context(), &request) // which never fails
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Spans are those that have come so far.
func (s *Sink) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spans)
}

// Paths are those of the requests over HTTP.
func (s *Sink) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths)
}

// Named are the spans of a name.
func (s *Sink) Named(name string) (named []Span) {
	for _, span := range s.Spans() {
		if span.GetName() == name {
			named = append(named, span)
		}
	}
	return named
}

// Text is the value of an attribute that is a string, or empty.
func Text(attributes []*commonpb.KeyValue, key string) string {
	for _, a := range attributes {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}
