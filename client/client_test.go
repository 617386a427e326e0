package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/test/testkit"
)

// serve runs an API on stores of its own, and speaks to it.
func serve(t *testing.T) *client.Client {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	t.Setenv("DATABASE_URL", testkit.Postgres(t))
	t.Setenv("REDIS_URL", testkit.Redis(t))
	t.Setenv("LISTEN_ADDR", address)
	t.Setenv("API_SHUTDOWN_DELAY", "0s")
	cfg, err := config.LoadAPI()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.RunAPI(ctx, cfg, io.Discard) }()
	c, err := client.New("http://" + address)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.CloseIdleConnections()
		stop()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return c.Live(t.Context()) == nil }, 30*time.Second, 5*time.Millisecond)
	return c
}

func problem(t *testing.T, err error) *client.Problem {
	t.Helper()
	var p *client.Problem
	require.ErrorAs(t, err, &p)
	return p
}

func TestTheLifeOfATask(t *testing.T) {
	c := serve(t)
	ctx, at := t.Context(), time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	wanted := client.NewTask{
		Type: "foo", ExecutionTime: at, Payload: json.RawMessage(`{"duration":"1s"}`), MaxAttempts: 2, Key: "k",
	}
	id, err := c.Create(ctx, wanted)
	require.NoError(t, err)
	again, err := c.Create(ctx, wanted)
	require.NoError(t, err)
	require.Equal(t, id, again)

	found, err := c.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, client.Submitted, found.Status)
	require.False(t, found.Ended())
	require.Equal(t, at, found.ExecutionTime)
	require.Equal(t, 2, found.MaxAttempts)
	require.JSONEq(t, `{"duration":"1s"}`, string(found.Payload))

	many, err := c.CreateAll(ctx, "all", []client.NewTask{{Type: "baz", ExecutionTime: at}, {Type: "baz", ExecutionTime: at}})
	require.NoError(t, err)
	require.Len(t, many, 2)
	page, err := c.List(ctx, client.Filter{Type: "baz", Status: client.Submitted, Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.Tasks, 1)
	page, err = c.List(ctx, client.Filter{Type: "baz", Status: client.Submitted, Limit: 1, Cursor: page.NextCursor})
	require.NoError(t, err)
	require.Equal(t, many[0], page.Tasks[0].ID)
	require.Empty(t, page.NextCursor)

	require.NoError(t, c.Delete(ctx, id))
	p := problem(t, func() error { _, err := c.Create(ctx, wanted); return err }())
	require.Equal(t, http.StatusConflict, p.Status)
	require.Equal(t, client.Deleted, p.TaskStatus)
}

func TestPatch(t *testing.T) {
	c := serve(t)
	ctx, at := t.Context(), time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	id, err := c.Create(ctx, client.NewTask{Type: "foo", ExecutionTime: at, Payload: json.RawMessage(`{"duration":"1s","n":1.50}`)})
	require.NoError(t, err)
	found, err := c.Get(ctx, id)
	require.NoError(t, err)
	later := at.Add(time.Hour)
	changed, err := c.Patch(ctx, id, client.Patch{
		ExecutionTime: &later, Payload: json.RawMessage(`{"duration":null}`), MaxAttempts: 3, IfMatch: found.ETag,
	})
	require.NoError(t, err)
	require.True(t, later.Equal(changed.DueAt))
	require.JSONEq(t, `{"n":1.50}`, string(changed.Payload))
	require.Contains(t, string(changed.Payload), "1.50")
	again, err := c.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, changed, again)
	_, err = c.Patch(ctx, id, client.Patch{MaxAttempts: 4, IfMatch: found.ETag})
	require.Equal(t, "precondition_failed", problem(t, err).Code)
	due, err := c.Run(ctx, id)
	require.NoError(t, err)
	require.True(t, due.DueAt.Before(later))
	require.NotEqual(t, changed.ETag, due.ETag)
	bare, err := c.Patch(ctx, id, client.Patch{Payload: json.RawMessage("null")})
	require.NoError(t, err)
	require.Nil(t, bare.Payload)
	cancelled, err := c.Cancel(ctx, id)
	require.NoError(t, err)
	require.Equal(t, client.Deleted, cancelled.Status)
	require.Equal(t, id, cancelled.ID)
	attempts, err := c.Attempts(ctx, id)
	require.NoError(t, err)
	require.Empty(t, attempts)
	made, err := c.Retry(ctx, id, "again")
	require.NoError(t, err)
	require.Equal(t, id, *made.RetryOf)
	again, err = c.Retry(ctx, id, "again")
	require.NoError(t, err)
	require.Equal(t, made, again)
	_, err = c.Retry(ctx, made.ID, "")
	require.Equal(t, client.Submitted, problem(t, err).TaskStatus)
	_, err = c.Cancel(ctx, id)
	require.Equal(t, client.Deleted, problem(t, err).TaskStatus)
	_, err = c.Patch(ctx, id, client.Patch{MaxAttempts: 4})
	require.Equal(t, client.Deleted, problem(t, err).TaskStatus)
}

func TestProblems(t *testing.T) {
	c := serve(t)
	_, err := c.Create(t.Context(), client.NewTask{Type: "nothing"})
	p := problem(t, err)
	require.Equal(t, 422, p.Status)
	require.Equal(t, "invalid", p.Code)
	require.NotEmpty(t, p.RequestID)
	require.Len(t, p.Errors, 1)
	require.Equal(t, "task_type", p.Errors[0].Field)
	require.Contains(t, err.Error(), "task_type")
	require.False(t, p.Temporary() || p.Unknown() || client.NotSent(err))
	_, err = c.Get(t.Context(), uuid.New())
	require.Equal(t, "not_found", problem(t, err).Code)
}

// What a client must know of an answer that did not come, or came from somebody else.
func TestWhatMayHaveBeenCarriedOut(t *testing.T) {
	var calls atomic.Int32 // the handler of a cut request may still run when the next begins
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Query().Get("type") {
		case "cut":
			panic(http.ErrAbortHandler)
		case "busy":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "proxy":
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>")
		}
	}))
	c, err := client.New(server.URL)
	require.NoError(t, err)
	list := func(taskType string) error {
		_, err := c.List(t.Context(), client.Filter{Type: taskType})
		return err
	}
	busy := problem(t, list("busy"))
	require.True(t, busy.Temporary())
	require.Equal(t, 7*time.Second, busy.RetryAfter)
	proxy := problem(t, list("proxy"))
	require.True(t, proxy.Unknown())
	require.Negative(t, proxy.RetryAfter)
	require.EqualValues(t, 2, calls.Load())
	_, err = c.Create(t.Context(), client.NewTask{Type: "foo"})
	require.ErrorContains(t, err, "decode the answer")

	cut := list("cut")
	require.Error(t, cut)
	require.NotErrorAs(t, cut, new(*client.Problem))
	require.False(t, client.NotSent(cut))
	server.Close()
	require.True(t, client.NotSent(list("")))
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		_, err := client.New(bad)
		require.Error(t, err, bad)
	}
}
