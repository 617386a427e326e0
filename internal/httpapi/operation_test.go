package httpapi_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/access"
	"github.com/timewheel/timewheel/internal/httpapi"
	"github.com/timewheel/timewheel/internal/task"
)

// register is Operations in memory.
type register struct {
	mu   sync.Mutex
	all  []task.Operation // oldest first
	fail error
}

func (r *register) CreateOperation(_ context.Context, o task.Operation) (task.Operation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return task.Operation{}, r.fail
	}
	for _, known := range r.all {
		if known.Key == o.Key && o.Key != "" {
			return known, nil
		}
	}
	o.State, o.CreatedAt = task.OperationWaiting, time.UnixMicro(1_800_000_000_000_000)
	r.all = append(r.all, o)
	return o, nil
}

func (r *register) GetOperation(_ context.Context, id uuid.UUID) (task.Operation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.all {
		if o.ID == id {
			return o, nil
		}
	}
	return task.Operation{}, task.ErrNoSuchOperation
}

func (r *register) Operations(_ context.Context, before uuid.UUID, limit int, types []string) (found []task.Operation, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0 && len(found) < limit; i-- {
		if r.all[i].ID.String() < before.String() && r.all[i].Within(types) {
			found = append(found, r.all[i])
		}
	}
	return found, nil
}

func (r *register) StopOperation(ctx context.Context, id uuid.UUID) (task.Operation, error) {
	o, err := r.GetOperation(ctx, id)
	if err == nil {
		o.State = task.OperationStopped
	}
	return o, err
}

func operating(t *testing.T) (*service, *register) {
	t.Helper()
	r := &register{}
	return newService(t, func(o *httpapi.Options) { o.Operations = r }), r
}

func TestTheLifeOfAnOperation(t *testing.T) {
	s, r := operating(t)
	a := s.do(t, "POST", "/operation", `{"action":"reschedule","shift":"-59m","dry_run":true,"filter":{"status":"submitted","type":"foo",
		"label":["a:1","b:x:y"],"due_after":"2030-01-02T15:04:05Z","due_before":"2031-01-02T15:04:05+01:00","created_after":"2020-01-01T00:00:00Z"}}`, "Idempotency-Key", "k")
	require.Equal(t, 202, a.Code, a.Body.String())
	require.Equal(t, "/operation/"+a.body["operation_id"].(string), a.Header().Get("Location"))
	id := a.body["operation_id"]
	delete(a.body, "operation_id")
	require.Equal(t, map[string]any{
		"action": "reschedule", "all": false, "dry_run": true, "shift": "-59m", "execution_time": nil, "state": "waiting",
		"done": 0.0, "skipped": 0.0, "left": nil, "samples": []any{}, "failure": nil, "created_at": "2027-01-15T08:00:00.000000Z",
		"started_at": nil, "finished_at": nil,
		"filter": map[string]any{
			"status": "submitted", "type": "foo", "label": []any{"a:1", "b:x:y"}, "due_after": "2030-01-02T15:04:05.000000Z",
			"due_before": "2031-01-02T14:04:05.000000Z", "created_after": "2020-01-01T00:00:00.000000Z",
		},
	}, a.body)
	again := s.do(t, "POST", "/operation", `{"action":"reschedule","shift":"-59m","filter":{"type":"foo"}}`, "Idempotency-Key", "k")
	require.Equal(t, id, again.body["operation_id"])

	sample, left, failure := uuid.New(), int64(7), time.UnixMicro(1_800_000_000_000_001)
	r.all[0].Samples, r.all[0].Left = []task.Skip{{ID: sample, Reason: "done"}}, &left
	r.all[0].Failure, r.all[0].StartedAt, r.all[0].FinishedAt = "no", &failure, &failure
	a = s.do(t, "GET", "/operation/"+id.(string), "")
	require.Equal(t, 200, a.Code)
	require.InDelta(t, 7, a.body["left"], 0)
	require.Equal(t, []any{map[string]any{"task_id": sample.String(), "reason": "done"}}, a.body["samples"])
	require.Equal(t, "stopped", s.do(t, "DELETE", "/operation/"+id.(string), "").body["state"])
	for _, method := range []string{"GET", "DELETE"} {
		requireProblem(t, s.do(t, method, "/operation/"+uuid.NewString(), ""), 404, "no_such_operation")
		requireProblem(t, s.do(t, method, "/operation/x", ""), 400, "invalid_id")
	}
	r.fail = task.ErrTooManyOperations
	requireProblem(t, s.do(t, "POST", "/operation", `{"action":"run","filter":{"type":"foo"}}`), 429, "too_many_operations")
}

func TestOperationsAreListed(t *testing.T) {
	s, _ := operating(t)
	for range 250 {
		require.Equal(t, 202, s.do(t, "POST", "/operation", `{"action":"delete","filter":{},"all":true}`).Code)
	}
	seen, path := 0, "/operation"
	for last := "g"; path != ""; {
		a := s.do(t, "GET", path, "")
		require.Equal(t, 200, a.Code)
		for _, o := range a.body["operations"].([]any) {
			id := o.(map[string]any)["operation_id"].(string)
			require.Less(t, id, last)
			require.Equal(t, true, o.(map[string]any)["all"])
			last = id
			seen++
		}
		path = ""
		if next, more := a.body["next_before"].(string); more {
			path = "/operation?before=" + url.QueryEscape(next)
		}
	}
	require.Equal(t, 250, seen)
	for _, query := range []string{"before=x", "before=", "limit=1", "before=" + uuid.NewString() + "&before=" + uuid.NewString()} {
		requireProblem(t, s.do(t, "GET", "/operation?"+query, ""), 422, "invalid")
	}
}

// Nothing is passed over that could have meant fewer tasks.
func TestFaultsOfAnOperation(t *testing.T) {
	s, r := operating(t)
	long := `"` + strings.Repeat("x", 400) + `"`
	labels := strings.TrimSuffix(strings.Repeat(`"a:1",`, 17), ",")
	for body, fields := range map[string][]string{
		`{}`:                                                                                                   {"action", "filter"},
		`[]`:                                                                                                   {"body"},
		`{"action":"delete"}`:                                                                                  {"filter"},
		`{"action":"delete","all":true}`:                                                                       {"filter"},
		`{"action":"delete","filter":null}`:                                                                    {"filter"},
		`{"action":"delete","filter":[]}`:                                                                      {"filter"},
		`{"action":"delete","filter":"type"}`:                                                                  {"filter"},
		`{"action":"delete","filter":{}}`:                                                                      {"filter"},
		`{"action":"delete","filter":{},"all":false}`:                                                          {"filter"},
		`{"action":"delete","filter":{},"all":null}`:                                                           {"all", "filter"},
		`{"action":"delete","filter":{},"all":"true"}`:                                                         {"all", "filter"},
		`{"action":"delete","filter":{},"all":1}`:                                                              {"all", "filter"},
		`{"action":"delete","filter":{"type":"foo"},"all":true}`:                                               {"all"},
		`{"action":"delete","filter":{"lable":["a:b"]}}`:                                                       {"filter.lable"},
		`{"action":"delete","filter":{"lable":["a:b"]},"all":true}`:                                            {"filter.lable", "all"},
		`{"action":"delete","filter":{"type":"foo","Status":"failed"}}`:                                        {"filter.Status"},
		`{"action":"delete","filter":{"label":[]}}`:                                                            {"filter.label"},
		`{"action":"delete","filter":{"label":null}}`:                                                          {"filter.label"},
		`{"action":"delete","filter":{"label":"a:b"}}`:                                                         {"filter.label"},
		`{"action":"delete","filter":{"label":["a:b",7]}}`:                                                     {"filter.label"},
		`{"action":"delete","filter":{"label":{"a":"b"}}}`:                                                     {"filter.label"},
		`{"action":"delete","filter":{"label":["ab"]}}`:                                                        {"filter.label"},
		`{"action":"delete","filter":{"label":[""]}}`:                                                          {"filter.label"},
		`{"action":"delete","filter":{"label":["a:\u0000"]}}`:                                                  {"filter.label"},
		`{"action":"delete","filter":{"label":[` + labels + `]}}`:                                              {"filter.label"},
		`{"action":"delete","filter":{"type":""}}`:                                                             {"filter.type"},
		`{"action":"delete","filter":{"type":null}}`:                                                           {"filter.type"},
		`{"action":"delete","filter":{"type":["foo"]}}`:                                                        {"filter.type"},
		`{"action":"delete","filter":{"type":"none"}}`:                                                         {"filter.type"},
		`{"action":"delete","filter":{"type":` + long + `}}`:                                                   {"filter.type"},
		`{"action":"delete","filter":{"status":""}}`:                                                           {"filter.status"},
		`{"action":"delete","filter":{"status":null}}`:                                                         {"filter.status"},
		`{"action":"delete","filter":{"status":"DONE"}}`:                                                       {"filter.status"},
		`{"action":"delete","filter":{"status":"done"}}`:                                                       {"filter.status"},
		`{"action":"retry","filter":{"status":"done"}}`:                                                        {"filter.status"},
		`{"action":"cancel","filter":{"status":"failed"}}`:                                                     {"filter.status"},
		`{"action":"delete","filter":{"due_after":""}}`:                                                        {"filter.due_after"},
		`{"action":"delete","filter":{"due_after":7}}`:                                                         {"filter.due_after"},
		`{"action":"delete","filter":{"due_after":"tomorrow"}}`:                                                {"filter.due_after"},
		`{"action":"delete","filter":{"created_before":null}}`:                                                 {"filter.created_before"},
		`{"action":"delete","filter":{"order":"due","limit":"1","cursor":"x"}}`:                                {"filter.order", "filter.limit", "filter.cursor"},
		`{"action":"delete","filter":{"type":"foo","type":"bar"}}`:                                             {"filter.type"},
		`{"action":"delete","filter":{"type":"foo"},"filter":{},"all":true}`:                                   {"filter", "all"},
		`{"action":"delete","action":"run","filter":{"type":"foo"}}`:                                           {"action"},
		`{"action":"purge","filter":{"type":"foo"}}`:                                                           {"action"},
		`{"action":null,"filter":{"type":"foo"}}`:                                                              {"action"},
		`{"action":"delete","filter":{"type":"foo"},"dryrun":true}`:                                            {"dryrun"},
		`{"action":"delete","filter":{"type":"foo"},"{}":true}`:                                                {"{}"},
		`{"action":"delete","filter":{"type":"foo"},"dry_run":null}`:                                           {"dry_run"},
		`{"action":"delete","filter":{"type":"foo"},"dry_run":"true"}`:                                         {"dry_run"},
		`{"action":"delete","filter":{"type":"foo"},"shift":"1m"}`:                                             {"shift"},
		`{"action":"run","filter":{"type":"foo"},"execution_time":"2030-01-02T15:04:05Z"}`:                     {"execution_time"},
		`{"action":"reschedule","filter":{"type":"foo"}}`:                                                      {"execution_time"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":null}`:                                         {"shift"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":"0s"}`:                                         {"shift"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":"1ns"}`:                                        {"shift"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":60}`:                                           {"shift"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":"876001h"}`:                                    {"shift"},
		`{"action":"reschedule","filter":{"type":"foo"},"execution_time":null}`:                                {"execution_time"},
		`{"action":"reschedule","filter":{"type":"foo"},"execution_time":"2030-01-02"}`:                        {"execution_time"},
		`{"action":"reschedule","filter":{"type":"foo"},"shift":"1m","execution_time":"2030-01-02T15:04:05Z"}`: {"execution_time"},
		`{"action":"run","filter":{"due_after":"2030-01-02T15:04:05Z","due_before":"2030-01-02T15:04:05Z"}}`:   {"filter.due_before"},
	} {
		a := s.do(t, "POST", "/operation", body)
		requireProblem(t, a, 422, "invalid")
		require.ElementsMatch(t, fields, a.fields(), body)
	}
	for _, query := range []string{"dry_run=true", "type=foo", "x", "%"} {
		a := s.do(t, "POST", "/operation?"+query, `{"action":"delete","filter":{"type":"foo"}}`)
		requireProblem(t, a, 422, "invalid")
		require.Equal(t, []string{"query"}, a.fields(), query)
	}
	for _, body := range []string{"", "{", `{"action":"delete","filter":{"type":"foo"}} x`, "{\"action\":\"\xff\"}"} {
		requireProblem(t, s.do(t, "POST", "/operation", body), 400, "malformed_json")
	}
	requireProblem(t, s.do(t, "POST", "/operation", `{}`, "Content-Type", "", "Content-Type", "text/plain"), 415, "unsupported_media_type")
	requireProblem(t, s.do(t, "POST", "/operation", fmt.Sprintf(`{"action":%q}`, strings.Repeat("x", 1<<20))), 413, "body_too_large")
	a := s.do(t, "POST", "/operation", `{"action":"delete","filter":{"type":"foo"}}`, "Idempotency-Key", "a b")
	require.Equal(t, []string{"Idempotency-Key"}, a.fields())
	require.Empty(t, r.all)
}

// What a key may not see, no operation of it touches, and none of others shows.
func TestOperationsAndKeys(t *testing.T) {
	r := &register{}
	s, b := keyed(t, func(o *httpapi.Options) { o.Operations = r })
	_, all := b.make(everything)
	bound, narrow := b.make(access.Read|access.Change, "foo")
	_, reads := b.make(access.Read)
	post := func(text, body string) answer { return s.do(t, "POST", "/operation", body, bearer(text)...) }
	requireProblem(t, post(reads, `{"action":"run","filter":{"type":"foo"}}`), 403, "forbidden")
	require.Equal(t, 202, post(all, `{"action":"run","filter":{},"all":true}`).Code)
	require.Equal(t, 202, post(all, `{"action":"run","filter":{"type":"bar"}}`).Code)
	require.Equal(t, 202, post(all, `{"action":"run","filter":{"type":"foo"}}`).Code)
	requireProblem(t, post(narrow, `{"action":"run","filter":{"type":"bar"}}`), 422, "invalid")
	require.Equal(t, 202, post(narrow, `{"action":"run","filter":{},"all":true}`).Code)
	require.Nil(t, r.all[0].Reach)
	require.Equal(t, []string{"foo"}, r.all[3].Reach)
	require.Equal(t, bound.ID, r.all[3].MadeBy)
	seen := s.do(t, "GET", "/operation", "", bearer(narrow)...).body["operations"].([]any)
	require.Len(t, seen, 2)
	require.Len(t, s.do(t, "GET", "/operation", "", bearer(all)...).body["operations"], 4)
	for i, o := range r.all {
		for _, method := range []string{"GET", "DELETE"} {
			a := s.do(t, method, "/operation/"+o.ID.String(), "", bearer(narrow)...)
			if i < 2 {
				requireProblem(t, a, 404, "no_such_operation")
			} else {
				require.Equal(t, 200, a.Code)
			}
		}
	}
}
