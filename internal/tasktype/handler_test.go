package tasktype_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/internal/tasktype"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func registry(log *bytes.Buffer, options tasktype.Options) *tasktype.Registry {
	options.Log = slog.New(slog.DiscardHandler)
	if log != nil {
		options.Log = slog.New(slog.NewJSONHandler(log, nil))
	}
	return tasktype.New(options)
}

// run executes one task of this type on a registry that may reach loopback.
func run(t *testing.T, taskType, payload string) (*task.Task, map[string]any, error) {
	t.Helper()
	return runOn(t, registry(nil, tasktype.Options{AllowPrivate: true}), taskType, payload)
}

func runOn(t *testing.T, r *tasktype.Registry, taskType, payload string) (*task.Task, map[string]any, error) {
	t.Helper()
	do, ok := r.Lookup(taskType)
	require.True(t, ok)
	it := taskWith(payload)
	it.Type = taskType
	raw, err := do(t.Context(), it)
	if raw == nil {
		return it, nil, err
	}
	var result map[string]any
	require.NoError(t, json.Unmarshal(raw, &result))
	return it, result, err
}

func taskWith(payload string) *task.Task {
	return &task.Task{ID: uuid.Must(uuid.NewV7()), Payload: json.RawMessage(payload), Attempt: 3}
}

func TestTypes(t *testing.T) {
	r := registry(nil, tasktype.Options{})
	require.Equal(t, []string{"bar", "baz", "foo", "webhook"}, task.Shipped())
	for _, name := range task.Shipped() {
		_, ok := r.Lookup(name)
		require.True(t, ok, "%s ships, and has no code", name)
	}
	_, ok := r.Lookup("qux")
	require.False(t, ok)
	require.Empty(t, r.Validate(task.Type{Name: "qux"}, json.RawMessage(`{"a":1}`)))
}

func TestFooPrintsItsID(t *testing.T) {
	var log bytes.Buffer
	it, result, err := runOn(t, registry(&log, tasktype.Options{}), "foo", `{"duration":"1ms","mine":[1]}`)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"output": "Foo " + it.ID.String()}, result)
	require.Contains(t, log.String(), `"msg":"task printed"`)
	require.Contains(t, log.String(), `"output":"Foo `+it.ID.String()+`"`)
}

func TestFooHonoursItsContext(t *testing.T) {
	do, _ := registry(nil, tasktype.Options{}).Lookup("foo")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := do(ctx, &task.Task{Payload: json.RawMessage(`{"duration":86400}`)})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestFooDuration(t *testing.T) {
	r := registry(nil, tasktype.Options{})
	for _, good := range []string{
		"", `{}`, `{"duration":0}`, `{"duration":0.5}`, `{"duration":86400}`, `{"duration":"24h"}`,
		`{"duration":"1m30s"}`, `{"duration":null}`, `{"other":true}`,
	} {
		require.Empty(t, r.Validate(task.Type{Name: "foo"}, json.RawMessage(good)), good)
	}
	for _, bad := range []string{
		`{"duration":-1}`, `{"duration":86401}`, `{"duration":"24h1ns"}`, `{"duration":"-1s"}`, `{"duration":"soon"}`,
		`{"duration":true}`, `{"duration":{}}`, `{"duration":1e300}`, `{"duration":1e999}`, `{"duration":""}`,
	} {
		problems := r.Validate(task.Type{Name: "foo"}, json.RawMessage(bad))
		require.Len(t, problems, 1, bad)
		require.Equal(t, "payload.duration", problems[0].Field, bad)
		_, _, err := run(t, "foo", bad)
		require.ErrorContains(t, err, "payload.duration", bad)
	}
	short, long := time.Second, 20*time.Hour
	hour := json.RawMessage(`{"duration":"1h"}`)
	require.Len(t, r.Validate(task.Type{Name: "foo", Timeout: &short}, hour), 1, "it could only fail")
	r = registry(nil, tasktype.Options{MaxDuration: time.Minute})
	require.Len(t, r.Validate(task.Type{Name: "foo"}, hour), 1)
	require.Empty(t, r.Validate(task.Type{Name: "foo", Timeout: &long}, hour), "the type's own timeout counts")
}

func TestBazPrintsANumber(t *testing.T) {
	seen := map[string]bool{}
	for range 20_000 {
		_, result, err := run(t, "baz", "")
		require.NoError(t, err)
		seen[result["output"].(string)] = true
	}
	require.Contains(t, seen, "Baz 0")
	require.Contains(t, seen, "Baz 343")
	require.Len(t, seen, 344)
}

func TestBarPrintsTheStatus(t *testing.T) {
	arrived := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	}))
	defer server.Close()

	it, result, err := run(t, "bar", `{"url":"`+server.URL+`/x?y=z"}`)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"output": "302", "status": 302.0}, result)
	got := <-arrived
	require.Equal(t, "GET /x?y=z", got.Method+" "+got.RequestURI)
	require.Equal(t, it.ID.String(), got.Header.Get("X-Task-Id"))

	fallback := registry(nil, tasktype.Options{AllowPrivate: true, BarURL: server.URL + "/fallback"})
	require.Empty(t, fallback.Validate(task.Type{Name: "bar"}, nil))
	_, result, err = runOn(t, fallback, "bar", "")
	require.NoError(t, err)
	require.Equal(t, "302", result["output"])
	require.Equal(t, "/fallback", (<-arrived).RequestURI)
}

// A fresh installation takes bar without a payload and without a variable.
func TestBarNeedsNothing(t *testing.T) {
	r := registry(nil, tasktype.Options{})
	for _, payload := range []string{"", `{}`, `{"url":null}`, `{"URL":"http://x/"}`} {
		require.Empty(t, r.Validate(task.Type{Name: "bar"}, json.RawMessage(payload)), payload)
	}
	require.Equal(t, "https://example.com/", tasktype.DefaultBarURL)
}

// What could only run into the timeout is refused when it is created.
func TestFooSleepsNoLongerThanATaskMayRun(t *testing.T) {
	r := registry(nil, tasktype.Options{MaxDuration: 5 * time.Minute})
	require.Empty(t, r.Validate(task.Type{Name: "foo"}, json.RawMessage(`{"duration":"5m"}`)))
	for _, long := range []string{`{"duration":"5m1s"}`, `{"duration":301}`, `{"duration":"23h"}`} {
		problems := r.Validate(task.Type{Name: "foo"}, json.RawMessage(long))
		require.Len(t, problems, 1, long)
		require.Contains(t, problems[0].Message, "from 0 to 5m0s")
	}
	require.Empty(t, registry(nil, tasktype.Options{MaxDuration: time.Second}).Validate(task.Type{Name: "foo"}, nil), "the default fits")
}

// A request line is ASCII: what a URL holds beyond that is percent-encoded, and
// all else is sent as it was written.
func TestURLsAreSentInASCII(t *testing.T) {
	arrived := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.RequestURI }))
	defer server.Close()
	for given, want := range map[string]string{
		"/é?name=José&f={\"a\"}": "/%C3%A9?name=Jos%C3%A9&f=%7B%22a%22%7D",
		"/a%2Fb?x=%20+&&y=%zz":   "/a%2Fb?x=%20+&&y=%zz",
		"/?q=a'b(c)!*;@:/?":      "/?q=a'b(c)!*;@:/?",
		"/x?y#fragment":          "/x?y",
	} {
		payload, err := json.Marshal(map[string]string{"url": server.URL + given})
		require.NoError(t, err)
		_, _, err = run(t, "bar", string(payload))
		require.NoError(t, err)
		require.Equal(t, want, <-arrived, given)
	}
}

func TestBarNeedsAURLThatIsOne(t *testing.T) {
	r := registry(nil, tasktype.Options{})
	for _, bad := range []string{
		`{"url":""}`, `{"url":7}`, `{"url":"x"}`, `{"url":"ftp://x/"}`, `{"url":"http://"}`,
		`{"url":"http:x"}`, `{"url":"http://u:p@x/"}`, `{"url":"http://x:0/"}`, `{"url":"http://x:65536/"}`,
		`{"url":"http://:80/"}`, `{"url":"http://x/?a b"}`, `{"url":"http://x/\u0001"}`,
		`{"url":"http://x/?\u007f"}`, `{"url":"http://bücher.example/"}`,
	} {
		problems := r.Validate(task.Type{Name: "bar"}, json.RawMessage(bad))
		require.Len(t, problems, 1, bad)
		require.Equal(t, "payload.url", problems[0].Field, bad)
	}
}

func TestErrorsHideTheURL(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // nobody listens there any more
	for _, taskType := range []string{"bar", "webhook"} {
		_, _, err := run(t, taskType, `{"url":"`+server.URL+`/hunter2?token=hunter2"}`)
		require.ErrorContains(t, err, strings.TrimPrefix(server.URL, "http://"))
		require.NotContains(t, err.Error(), "hunter2")

		_, _, err = run(t, taskType, `{"url":"http://user:hunter2@x/"}`)
		require.ErrorContains(t, err, "payload.url")
		require.NotContains(t, err.Error(), "hunter2")
	}
}
