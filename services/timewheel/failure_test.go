package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answers is an API that gives one answer to everything.
func answers(t *testing.T, status int, contentType, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// run carries out a command line in this process.
func runHere(t *testing.T, environ map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{
		in: &bytes.Buffer{}, out: &output{w: &stdout}, errOut: &stderr, now: time.Now,
		getenv: func(name string) string { return environ[name] },
	}
	code = c.run(t.Context(), args)
	return code, stdout.String(), stderr.String()
}

func TestWhatFailsHasACodeOfItsOwn(t *testing.T) {
	problem := func(status int, code string) string {
		return answers(t, status, "application/problem+json",
			fmt.Sprintf(`{"status": %d, "code": %q, "detail": "Look \u001b[31mhere.", "request_id": "RID"}`, status, code))
	}
	html := func(status int) string { return answers(t, status, "text/html", "<html><h1>hello") }
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts, and never answers
	require.NoError(t, err)
	defer silent.Close()
	for name, c := range map[string]struct {
		url  string
		code int
		want string
	}{
		"no key":               {problem(401, "unauthorized"), exitRefused, "TIMEWHEEL_KEY"},
		"a key that may not":   {problem(403, "forbidden"), exitRefused, "Look"},
		"nothing there":        {problem(404, "not_found"), exitNotFound, "Look"},
		"an old API":           {problem(404, "no_such_route"), exitFailure, "older than this program"},
		"in the way":           {problem(409, "conflict"), exitConflict, "Look"},
		"changed since":        {problem(412, "precondition_failed"), exitConflict, "Look"},
		"malformed":            {problem(400, "malformed_json"), exitInvalid, "Look"},
		"invalid":              {problem(422, "invalid"), exitInvalid, "Look"},
		"too large":            {problem(413, "body_too_large"), exitInvalid, "Look"},
		"too many":             {problem(429, "overloaded"), exitUnreachable, "Look"},
		"without its store":    {problem(503, "unavailable"), exitUnreachable, "Look"},
		"broken":               {problem(500, "internal"), exitFailure, "RID"},
		"a proxy without it":   {html(502), exitUnreachable, "proxy"},
		"a proxy that waited":  {html(504), exitUnreachable, "proxy"},
		"a proxy with a key":   {html(401), exitRefused, "is not timewheel's API"},
		"another server's 404": {html(404), exitFailure, "is not timewheel's API"},
		"another server":       {html(200), exitFailure, "is not timewheel's API"},
		"a redirect":           {html(301), exitFailure, "redirects"},
		"nobody":               {"http://127.0.0.1:1", exitUnreachable, "cannot reach the API at http://127.0.0.1:1: connection refused"},
		"silence":              {"http://" + silent.Addr().String(), exitUnreachable, "no answer within 300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{
				{"task", "list"},
				{"task", "get", gone},
				{"task", "delete", gone},
				{"task", "create", "foo", "+1h"},
				{"task", "watch"},
				{"type", "list"},
				{"schedule", "list"},
			} {
				code, out, errOut := runHere(t, map[string]string{"TIMEWHEEL_URL": c.url}, append(args, "-o", "json", "--timeout", "300ms")...)
				require.Equal(t, c.code, code, args)
				require.Contains(t, errOut, c.want, args)
				require.Contains(t, errOut, "timewheel: ")
				require.NotContains(t, errOut, "\x1b")
				require.NotContains(t, errOut, "goroutine")
				if args[1] != "delete" { // which tells of each task
					require.Empty(t, out, args)
				}
			}
		})
	}
}

func TestWhatMayHaveBeenDoneIsTold(t *testing.T) {
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	environ := map[string]string{"TIMEWHEEL_URL": "http://" + silent.Addr().String()}
	_, _, errOut := runHere(t, environ, "task", "create", "foo", "2030-01-01T00:00:00Z", "--timeout", "200ms")
	require.Regexp(t, `--idempotency-key [0-9a-f-]{36} and the time 2030-01-01T00:00:00Z may be repeated safely`, errOut)
	require.Contains(t, errOut, "may have been carried out")
	_, _, errOut = runHere(t, environ, "task", "list", "--timeout", "200ms")
	require.NotContains(t, errOut, "carried out")
	environ["TIMEWHEEL_URL"] = "http://127.0.0.1:1"
	_, _, errOut = runHere(t, environ, "task", "create", "foo", "2030-01-01T00:00:00Z")
	require.NotContains(t, errOut, "carried out") // nothing was sent
	require.NotContains(t, errOut, "idempotency")
}

func TestTheKeyIsSentAndNeverPrinted(t *testing.T) {
	const secret = "tw_secret0123456789"
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("tw_of_the_file\n"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	for _, c := range []struct {
		key, keyFile string
		args         []string
		code         int
		sent         string
	}{
		{secret, "", nil, exitRefused, "Bearer " + secret},
		{"", file, nil, exitRefused, "Bearer tw_of_the_file"},
		{secret, file, nil, exitRefused, "Bearer " + secret},
		{secret, "", []string{"--key-file", file}, exitRefused, "Bearer tw_of_the_file"},
		{"", "", nil, exitRefused, ""},
		{secret + "\r\nX: y", "", nil, exitUsage, ""},
		{secret + " " + secret, "", nil, exitUsage, ""},
		{"", empty, nil, exitUsage, ""},
		{"", "", []string{"--key", secret}, exitUsage, ""},
	} {
		sent = ""
		environ := map[string]string{"TIMEWHEEL_URL": server.URL, "TIMEWHEEL_KEY": c.key, "TIMEWHEEL_KEY_FILE": c.keyFile}
		code, out, errOut := runHere(t, environ, append([]string{"task", "list"}, c.args...)...)
		require.Equal(t, c.code, code, errOut)
		require.Equal(t, c.sent, sent)
		require.NotContains(t, out+errOut, secret)
	}
}

func TestAPasswordInTheAddressIsNotPrinted(t *testing.T) {
	for _, url := range []string{"http://u:hunter2@127.0.0.1:1", "https://u:hunter2@[::1]:1", "http://u:hunter2@127.0.0.1:x", "u:hunter2@x"} {
		code, out, errOut := runHere(t, nil, "task", "list", "--url", url)
		require.NotZero(t, code)
		require.NotContains(t, out+errOut, "hunter2")
	}
}

// A list that breaks off is whole JSON still, and says where to go on.
func TestAListThatBreaksOff(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"tasks": [{"task_id": "a", "n": 1.50}], "next_cursor": "there"}`)
	}))
	defer server.Close()
	code, out, _ := runHere(t, nil, "task", "list", "--url", server.URL, "--all", "-o", "json")
	require.Equal(t, exitUnreachable, code)
	require.JSONEq(t, `{"tasks": [{"task_id": "a", "n": 1.50}], "next_cursor": "there"}`, out)
	require.Contains(t, out, "1.50")
}

func TestWhatATerminalWouldObeyIsWrittenOut(t *testing.T) {
	const evil = "\\u001b[2J\u009b1m\u202e\\u0007x\\n"
	url := answers(t, 200, "application/json", `{"tasks": [{"task_id": "`+evil+`", "task_type": "`+evil+`", "status": "done"}],
		"next_cursor": null, "`+evil+`": "`+evil+`", "types": [], "due_at": "`+evil+`"}`)
	for _, args := range [][]string{{"task", "list"}, {"task", "list", "-o", "json"}, {"task", "get", gone}, {"type", "get", "foo", "-o", "json"}} {
		code, out, errOut := runHere(t, nil, append(args, "--url", url)...)
		require.Zero(t, code, errOut)
		for _, bad := range []string{"\x1b", "\u009b", "\u202e", "\a"} {
			require.NotContains(t, out+errOut, bad, args)
		}
		require.Contains(t, out, `\u001b`)
	}
}

// fullDisk fails as a disk does that is full.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAnOutputThatFailsIsAFailure(t *testing.T) {
	url := answers(t, 200, "application/json", `{"tasks": [{"task_id": "a"}], "next_cursor": "again"}`)
	for _, args := range [][]string{{"task", "list", "--all"}, {"task", "list", "--all", "-o", "json"}, {"type", "get", "x"}, {"version"}, {"--help"}, {"task", "watch"}} {
		var stderr bytes.Buffer
		c := &cli{in: &bytes.Buffer{}, out: &output{w: fullDisk{}}, errOut: &stderr, now: time.Now, getenv: func(string) string { return url }}
		c.getenv = func(name string) string { return map[string]string{"TIMEWHEEL_URL": url}[name] }
		require.Equal(t, exitFailure, c.run(context.Background(), args), args)
		require.Contains(t, stderr.String(), "no space left")
	}
}
