package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

// instant creates tasks in no time, so that what is measured is the edge.
type instant struct{ ledger }

func (*instant) Create(context.Context, task.Draft) (task.ID, error) { return uuid.Max, nil }

// sink is a response that nobody reads.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header            { return s.header }
func (s *sink) Write(body []byte) (int, error) { return len(body), nil }
func (s *sink) WriteHeader(status int)         { s.status = status }

func (*instant) CreateBulk(_ context.Context, _ string, drafts []task.Draft) ([]task.ID, error) {
	return make([]task.ID, len(drafts)), nil
}

func BenchmarkCreate(b *testing.B) {
	for name, body := range map[string]string{"small": good, "4KiB": withPayload(4 << 10)} {
		b.Run(name, func(b *testing.B) { benchmarkPost(b, "/task", body) })
	}
}

// BenchmarkCreateBulk reports the cost of 1,000 tasks.
func BenchmarkCreateBulk(b *testing.B) {
	for name, one := range map[string]string{"small": good, "4KiB": withPayload(4 << 10)} {
		b.Run(name, func(b *testing.B) { benchmarkPost(b, "/task/batch", batchOf(repeat(one, httpapi.MaxBatch)...)) })
	}
}

func withPayload(size int) string {
	return strings.Replace(good, "}", `,"payload":{"text":"`+strings.Repeat("lorem ipsum ", size/12)+`"}}`, 1)
}

func benchmarkPost(b *testing.B, path, body string) {
	b.Helper()
	s := newService(b, func(o *httpapi.Options) { o.Tasks = &instant{} })
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		response := &sink{header: http.Header{}}
		s.ServeHTTP(response, request)
		if response.status != http.StatusCreated {
			b.Fatal("status", response.status)
		}
	}
}
