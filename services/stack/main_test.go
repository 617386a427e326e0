package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/require"
)

// stackRole makes this test program the stack itself.
const stackRole = "TIMEWHEEL_TEST_STACK"

func TestMain(m *testing.M) {
	if os.Getenv(stackRole) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// stackCommand is the command line run as a program of its own, with no stores named
// and no Docker, and a folder for what is temporary.
func stackCommand(t *testing.T, dir string, arguments ...string) (*exec.Cmd, *transcript) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it builds and runs programs")
	}
	command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	var output transcript
	command.Stdout, command.Stderr = &output, &output
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name != "DATABASE_URL" && name != "REDIS_URL" {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, stackRole+"=1", "TMPDIR="+dir, "DOCKER_HOST=unix:///nowhere")
	return command, &output
}

// transcript is what a program has said so far.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *transcript) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(text)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// openFolder is a temporary folder that Postgres' own user can get through,
// which t.TempDir is not.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stack-test-") //nolint:usetesting // See above.
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711))
	return dir
}

func TestTestPassesOutputAndStatusThroughAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	command, output := stackCommand(t, dir, "test", "./nowhere")
	var exit *exec.ExitError
	require.ErrorAs(t, command.Run(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Contains(t, output.String(), "nowhere")
	require.NotContains(t, output.String(), "stack:")
	requireEmpty(t, dir)
}

// The test that stack runs here tells that it is running and then waits to be
// interrupted.
func TestTestLeavesNothingWhenInterrupted(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	module := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte("module waits\n\ngo 1.26\n"), 0o600))
	ready := filepath.Join(module, "ready")
	require.NoError(t, syscall.Mkfifo(ready, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(module, "waits_test.go"), []byte(fmt.Sprintf(`package waits
import ("os"; "testing"; "time")
func TestWait(t *testing.T) {
	if err := os.WriteFile(%q, []byte(os.Getenv("DATABASE_URL")), 0o600); err != nil { t.Fatal(err) }
	time.Sleep(time.Hour)
}`, ready)), 0o600))

	command, output := stackCommand(t, dir, "test", "-count=1", ".")
	command.Dir = module
	require.NoError(t, command.Start())
	url, err := os.ReadFile(ready) // Opening it waits for the writer.
	require.NoError(t, err)
	require.Contains(t, string(url), "postgres://")
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	require.Error(t, command.Wait())
	require.Contains(t, output.String(), "interrupted")
	requireEmpty(t, dir)
}

func TestUpServesRestartsWhatDiesAndStopsCleanly(t *testing.T) {
	t.Parallel()
	dir, address := openFolder(t), freeAddress(t)
	data := filepath.Join(dir, "data")
	command, output := stackCommand(t, dir, "up", "--workers", "0", "--data", data)
	command.Env = append(command.Env, "LISTEN_ADDR="+address)
	require.NoError(t, command.Start())
	awaitReady(t, address)

	var printed string
	require.Eventually(t, func() bool {
		printed = regexp.MustCompile(`redis-cli .*\n`).FindString(output.String())
		return printed != ""
	}, time.Minute, 10*time.Millisecond)
	keys, err := exec.CommandContext(t.Context(), "sh", "-c", printed).CombinedOutput()
	require.NoError(t, err)
	require.Empty(t, strings.TrimSpace(string(keys)), "the command that is printed works, and there is no task")

	second, words := stackCommand(t, dir, "up", "--workers", "0", "--data", data)
	second.Env = append(second.Env, "LISTEN_ADDR="+freeAddress(t))
	require.Error(t, second.Run())
	require.Contains(t, words.String(), "another stack is up")
	third, words := stackCommand(t, dir, "up", "--workers", "0", "--data", data)
	third.Env = append(third.Env, "LISTEN_ADDR="+address)
	require.Error(t, third.Run())
	require.Contains(t, words.String(), "another program does")

	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	require.NoError(t, command.Process.Signal(syscall.SIGINT), "go tool doubles a Ctrl-C")
	require.NoError(t, command.Wait(), output.String())
	require.Contains(t, output.String(), "timewheel is up")
	require.NoFileExists(t, filepath.Join(data, "postgres", "postmaster.pid"))
	require.FileExists(t, filepath.Join(data, "postgres", "PG_VERSION"), "the data is kept")
}

func TestAddressesOfTheServicesCanBeMoved(t *testing.T) {
	free := freeAddresses(t, 3)
	first := free[1]
	t.Setenv("LISTEN_ADDR", free[0])
	t.Setenv("WORKER_LISTEN_ADDR", first)
	services, err := plan(2)
	require.NoError(t, err)
	var planned []string
	for _, s := range services {
		planned = append(planned, s.address)
	}
	require.Equal(t, free, planned)

	for _, bad := range []string{"8081", ":x", ":0", ":65535"} {
		t.Setenv("WORKER_LISTEN_ADDR", bad)
		_, err := plan(2)
		require.ErrorContains(t, err, "WORKER_LISTEN_ADDR", bad)
	}

	taken, err := net.Listen("tcp4", first)
	require.NoError(t, err)
	defer taken.Close()
	t.Setenv("WORKER_LISTEN_ADDR", first)
	_, err = plan(1)
	require.ErrorContains(t, err, "or set WORKER_LISTEN_ADDR")
}

func TestServiceThatDiesIsNamedAndStartedAgain(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "worker"), []byte("#!/bin/sh\necho says why; exit 7\n"), 0o700))
	s := &stack{bin: bin, stores: fromEnvironment(), out: newConsole(writer)}
	stop := s.start([]*service{{name: "worker-1", program: "worker"}})
	lines := bufio.NewReader(reader)
	for range 2 {
		for _, words := range []string{"worker-1 | says why", "worker-1 ended by itself (exit status 7)"} {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, words)
		}
	}
	stop()
}

func TestWatcherTellsOfSourcesOnly(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, ".git"), 0o700))
	watcher, err := watchSources(root)
	require.NoError(t, err)
	t.Cleanup(watcher.close)
	for _, name := range []string{"README.md", "x_test.go", "go.sum"} {
		require.False(t, watcher.concerns(fsnotify.Event{Name: name, Op: fsnotify.Write}), name)
	}
	require.False(t, watcher.concerns(fsnotify.Event{Name: "x.go", Op: fsnotify.Chmod}))
	require.Equal(t, []string{root}, watcher.notify.WatchList(), "hidden folders are left alone")

	folder := filepath.Join(root, "new")
	require.NoError(t, os.Mkdir(folder, 0o700))
	<-watcher.changes
	require.NoError(t, os.WriteFile(filepath.Join(folder, "claim.lua"), nil, 0o600))
	<-watcher.changes
}

func TestCommandLineIsChecked(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{{}, {"sideways"}, {"up", "--wings"}, {"up", "now"}, {"up", "--workers", "-1"}} {
		require.Equal(t, 2, run(arguments), arguments)
	}
	for _, arguments := range [][]string{{"--help"}, {"up", "--help"}, {"test", "--help"}, {"bench", "--help"}} {
		require.Zero(t, run(arguments), arguments)
	}
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// freeAddresses are n addresses whose ports follow each other. They lie below the ports
// that the kernel gives to those who ask for any, so no test beside this one takes them.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	for port := 20000; port < 30000; port += n {
		var addresses []string
		for i := range n {
			address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i))
			listener, err := net.Listen("tcp4", address)
			if err != nil {
				break
			}
			require.NoError(t, listener.Close())
			addresses = append(addresses, address)
		}
		if len(addresses) == n {
			return addresses
		}
	}
	require.FailNow(t, "no free ports that follow each other")
	return nil
}

func awaitReady(t *testing.T, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 2*time.Minute, 50*time.Millisecond)
}
