package main

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/client"
)

// Whoever reads the output may have read enough.
func TestAReaderThatLeaves(t *testing.T) {
	url := stack(t)
	c, err := client.New(url)
	require.NoError(t, err)
	tasks := make([]client.NewTask, 1000)
	for i := range tasks {
		tasks[i] = client.NewTask{Type: "foo", ExecutionTime: time.Now().Add(time.Hour)}
	}
	for range 10 {
		_, err := c.CreateAll(t.Context(), "", tasks)
		require.NoError(t, err)
	}
	sh := newShell(t, url)
	for _, script := range []string{
		`timewheel task list --all -o json | head -1; echo ${PIPESTATUS[0]}`,
		`timewheel task list --all | head -1; echo ${PIPESTATUS[0]}`,
		`timewheel task watch --limit 2 | head -2 | tail -1; echo ${PIPESTATUS[0]}`, // which then has nothing to write
		`timewheel task watch -o json | head -1; echo ${PIPESTATUS[0]}`,
	} {
		_, out, errOut := sh.types(script)
		require.Empty(t, errOut, script)
		require.Regexp(t, `\n0\n$`, out, script)
	}
	code, _, errOut := sh.types(`timewheel task delete ` + gone + ` -o json | true`)
	require.Equal(t, exitNotFound, code, errOut) // what failed is told still
	code, out, errOut := sh.types(`timewheel task list --all -o json | jq -e '.tasks | length'`)
	require.Zero(t, code, errOut)
	require.Equal(t, "10000\n", out)
	code, out, errOut = sh.types(`timewheel task list --limit 2500 | wc -l`)
	require.Zero(t, code)
	require.Equal(t, "2501\n", out)
	require.Contains(t, errOut, "there are more")
}

func TestAnInterruptedWatchIsDone(t *testing.T) {
	url := stack(t)
	c, err := client.New(url)
	require.NoError(t, err)
	_, err = c.Create(t.Context(), client.NewTask{Type: "foo", ExecutionTime: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	command := newShell(t, url).command("task", "watch")
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	require.NoError(t, command.Wait())
}

// Whatever else is interrupted says what may have become of it.
func TestAnInterruptedCommandIsNot(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	command := newShell(t, "http://"+listener.Addr().String()).command("task", "create", "foo", "+1h")
	var errOut bytes.Buffer
	command.Stderr = &errOut
	require.NoError(t, command.Start())
	connection, err := listener.Accept()
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	exit, failed := errors.AsType[*exec.ExitError](command.Wait())
	require.True(t, failed)
	require.Equal(t, exitInterrupted, exit.ExitCode())
	require.Contains(t, errOut.String(), "interrupted; the request may have been carried out")
	require.Contains(t, errOut.String(), "--idempotency-key")
}
