package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/keyring"
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
		post(b, s, path, body, "")
	}
}

func post(b *testing.B, s *service, path, body, key string) {
	b.Helper()
	request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response := &sink{header: http.Header{}}
	s.ServeHTTP(response, request)
	if response.status != http.StatusCreated {
		b.Fatal("status", response.status)
	}
}

// still is a store of one key that never changes.
type still struct {
	version uuid.UUID
	keys    map[access.Digest]*access.Key
}

func (s *still) Keys(_ context.Context, known uuid.UUID) (access.State, error) {
	state := access.State{Version: s.version, Now: time.Now()}
	if known != s.version {
		state.Keys = s.keys
	}
	return state, nil
}

func (*still) NoteUse(context.Context, []uuid.UUID) error { return nil }

// BenchmarkAccess compares what a request costs at the edge with and without keys. The two take
// turns, so that what else the machine does strikes both, and the medians of the turns count.
func BenchmarkAccess(b *testing.B) {
	text := access.NewText()
	digest, _ := access.DigestOf(text)
	ring := keyring.New(&still{uuid.New(), map[access.Digest]*access.Key{
		digest: {ID: uuid.New(), Scopes: access.Create, Types: []string{"billing.", "foo"}},
	}}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = ring.Run(ctx) })
	b.Cleanup(func() { stop(); following.Wait() })
	services := []*service{
		newService(b, func(o *httpapi.Options) { o.Tasks = &instant{} }),
		newService(b, func(o *httpapi.Options) { o.Tasks, o.Keys = &instant{}, ringOnly{Ring: ring} }),
	}
	const turn = 100
	var took [2][]float64
	for b.Loop() {
		for i, s := range services {
			start := time.Now()
			for range turn {
				post(b, s, "/task", good, text)
			}
			took[i] = append(took[i], float64(time.Since(start).Nanoseconds())/turn)
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	off, keys := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(off, "off-ns/request")
	b.ReportMetric(keys, "keys-ns/request")
	b.ReportMetric(keys/off, "ratio")
}

// ringOnly is Keys that are only found.
type ringOnly struct {
	*keyring.Ring
	httpapi.Keys
}

func (r ringOnly) Find(ctx context.Context, text string) (*access.Key, error) {
	return r.Ring.Find(ctx, text)
}
