package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/app"
	"github.com/timewheel/timewheel/internal/config"
	"github.com/timewheel/timewheel/test/testkit"
)

const (
	patience = 30 * time.Second
	glance   = 5 * time.Millisecond
)

// TestMain makes this test program the program itself when it is called by its name, so that
// shells can type it, and jq, which a machine need not have.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "timewheel":
		os.Exit(run())
	case "jq":
		os.Exit(jq(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// stack runs an API and a worker on stores of their own, and returns the API's URL.
func stack(t *testing.T) string {
	t.Helper()
	t.Setenv("DATABASE_URL", testkit.Postgres(t))
	t.Setenv("REDIS_URL", testkit.Redis(t))
	t.Setenv("API_SHUTDOWN_DELAY", "0s")
	address := freeAddress(t)
	t.Setenv("LISTEN_ADDR", address)
	api, err := config.LoadAPI()
	require.NoError(t, err)
	runs(t, address, func(ctx context.Context) error { return app.RunAPI(ctx, api, io.Discard) })
	workers := freeAddress(t)
	t.Setenv("LISTEN_ADDR", workers)
	worker, err := config.LoadWorker()
	require.NoError(t, err)
	runs(t, workers, func(ctx context.Context) error { return app.Worker{}.Run(ctx, worker, io.Discard) })
	return "http://" + address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// runs runs a service until the test ends, and waits until it is ready.
func runs(t *testing.T, address string, service func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode == http.StatusOK
	}, patience, glance)
}

// shell types lines into shells, with the program in their path.
type shell struct {
	t        *testing.T
	bin, dir string
	env      []string
}

func newShell(t *testing.T, url string) *shell {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	for _, name := range []string{"timewheel", "jq"} {
		require.NoError(t, os.Symlink(own, filepath.Join(bin, name)))
	}
	return &shell{t, bin, t.TempDir(), []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TZ=UTC", "TIMEWHEEL_URL=" + url,
	}}
}

// types runs a script, and returns what came. Nothing is on its standard input.
func (s *shell) types(script string) (code int, out, errOut string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*patience) // for a whole guide, on a slow machine
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", script)
	var stdout, stderr bytes.Buffer
	command.Dir, command.Env, command.Stdout, command.Stderr = s.dir, s.env, &stdout, &stderr
	err := command.Run()
	require.NoError(s.t, ctx.Err(), "%s: does not end; it printed\n%s%s", script, stdout.String(), stderr.String())
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	require.NoError(s.t, err)
	return 0, stdout.String(), stderr.String()
}

// command is the program with these arguments, without a shell.
func (s *shell) command(args ...string) *exec.Cmd {
	command := exec.CommandContext(s.t.Context(), filepath.Join(s.bin, "timewheel"), args...)
	command.Env = s.env
	return command
}

// runs types a script that must succeed.
func (s *shell) runs(script string) {
	s.t.Helper()
	code, out, errOut := s.types(script)
	require.Zero(s.t, code, "%s\n%s", out, errOut)
}

// keeps types a script that must succeed, and has what it prints as a variable from then on.
func (s *shell) keeps(name, script string) {
	s.t.Helper()
	code, out, errOut := s.types(script)
	require.Zero(s.t, code, "%s: %s", script, errOut)
	value := strings.TrimSpace(out)
	require.NotEmpty(s.t, value, script)
	s.env = append(s.env, name+"="+value)
}
