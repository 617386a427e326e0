package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/timewheel/timewheel/client"
)

// terminal is a pseudo terminal on which the program runs.
type terminal struct {
	t       *testing.T
	master  *os.File
	command *exec.Cmd
	ended   chan error

	mu  sync.Mutex
	out strings.Builder
}

// onTerminal starts the program on a terminal of 80 columns and this many lines.
func onTerminal(t *testing.T, url string, lines uint16, args ...string) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: 80}))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	own, err := os.Executable()
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "timewheel")
	require.NoError(t, os.Symlink(own, name))
	term := &terminal{t: t, master: os.NewFile(uintptr(fd), "ptmx"), command: exec.Command(name, args...), ended: make(chan error, 1)}
	term.command.Env = []string{"TIMEWHEEL_URL=" + url, "TZ=UTC"}
	term.command.Stdin, term.command.Stdout, term.command.Stderr = slave, slave, slave
	term.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, term.command.Start())
	require.NoError(t, slave.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := term.master.Read(buffer)
			term.mu.Lock()
			term.out.Write(buffer[:n])
			term.mu.Unlock()
			if err != nil {
				return // nobody has the terminal open any more
			}
		}
	}()
	go func() { term.ended <- term.command.Wait() }()
	t.Cleanup(func() {
		_ = term.command.Process.Kill()
		<-read
		_ = term.master.Close()
	})
	return term
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.out.String()
}

func (term *terminal) sees(want string) {
	term.t.Helper()
	require.Eventually(term.t, func() bool { return strings.Contains(term.text(), want) }, patience, glance, "%s", want)
}

func (term *terminal) types(text string) {
	term.t.Helper()
	_, err := term.master.WriteString(text)
	require.NoError(term.t, err)
}

func (term *terminal) ends(code int) {
	term.t.Helper()
	select {
	case <-term.ended:
		require.Equal(term.t, code, term.command.ProcessState.ExitCode(), term.text())
	case <-time.After(patience):
		require.Fail(term.t, "the program does not end", term.text())
	}
}

func TestAWatchOnATerminal(t *testing.T) {
	url := stack(t)
	c, err := client.New(url)
	require.NoError(t, err)
	for range 3 {
		_, err := c.Create(t.Context(), client.NewTask{Type: "foo", ExecutionTime: time.Now().Add(100 * time.Hour)})
		require.NoError(t, err)
	}
	term := onTerminal(t, url, 24, "task", "watch", "--interval", "100ms")
	term.sees("submitted  in 4d  foo")
	term.sees("\x1b[4A\r\x1b[J") // drawn again over the titles and three tasks
	id, err := c.Create(t.Context(), client.NewTask{Type: "baz", ExecutionTime: time.Now()})
	require.NoError(t, err)
	term.sees(id.String() + "  done")
	term.types("\x03")
	term.ends(0)
	for line := range strings.SplitSeq(term.text(), "\r\n") {
		require.LessOrEqual(t, len(strings.TrimPrefix(line[strings.LastIndex(line, "\x1b[J")+1:], "[J")), 80)
	}

	small := onTerminal(t, url, 5, "task", "watch", "--interval", "100ms")
	small.sees("and 2 more")
	small.types("\x03")
	small.ends(0)

	single := onTerminal(t, url, 24, "task", "watch", id.String())
	single.ends(0) // it has ended
}

// What a question is answered with decides, and nothing else.
func TestTheQuestionOnATerminal(t *testing.T) {
	for answer, code := range map[string]int{"n\n": exitFailure, "\n": exitFailure, "\x04": exitFailure, "\x03": exitFailure, "y\n": exitUnreachable} {
		term := onTerminal(t, "http://127.0.0.1:1", 24, "task", "delete", "--type", "foo")
		term.sees("This will delete every task of the type foo. Go on? [y/N]")
		term.types(answer)
		term.ends(code)
		if code == exitFailure {
			term.sees("nothing was changed")
		}
	}
}
