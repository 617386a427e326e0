package process_test

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/timewheel/timewheel/test/testkit/process"
)

// parentRole makes this test program the parent that is killed.
const parentRole = "TIMEWHEEL_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentRole) != "" {
		beParent()
	}
	goleak.VerifyTestMain(m)
}

// beParent starts a child that shares our output, and waits to be killed.
func beParent() {
	command := exec.Command("sh", "-c", "echo ready; exec sleep 600")
	command.Stdout = os.Stdout
	sleeper, err := process.Start(command, syscall.SIGTERM)
	if err != nil {
		os.Exit(1)
	}
	<-sleeper.Done()
	os.Exit(0)
}

func TestChildDiesWithItsKilledParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child that its parent died")
	}
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentRole+"=1")
	parent.Stdout = writer
	require.NoError(t, parent.Start())
	require.NoError(t, writer.Close())
	require.NoError(t, reader.SetReadDeadline(time.Now().Add(20*time.Second)))
	lines := bufio.NewReader(reader)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	// The pipe ends once nobody holds it: neither parent nor child.
	_, err = lines.ReadString('\n')
	require.ErrorContains(t, err, "EOF")
}

func TestStopKillsAGroupThatDoesNotListen(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	command := exec.Command("sh", "-c", "trap '' TERM; echo ready; sleep 600; sleep 600")
	command.Stdout = writer
	deaf, err := process.Start(command, syscall.SIGTERM)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	lines := bufio.NewReader(reader)
	_, err = lines.ReadString('\n')
	require.NoError(t, err)

	require.ErrorContains(t, deaf.Stop(syscall.SIGTERM, 50*time.Millisecond), "was killed")
	require.NoError(t, reader.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = lines.ReadString('\n')
	require.ErrorContains(t, err, "EOF", "a grandchild lives on")
	require.NoError(t, deaf.Stop(syscall.SIGTERM, time.Second), "a child that has ended")
}

func TestProgramThatIsMissingIsAnError(t *testing.T) {
	t.Parallel()
	_, err := process.Start(exec.Command("/nowhere/program"), syscall.SIGTERM)
	require.ErrorContains(t, err, "start /nowhere/program")
}
