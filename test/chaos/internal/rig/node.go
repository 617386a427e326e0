package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/testkit/process"
)

// restartPause is how long a node that ended stays down.
const restartPause = 200 * time.Millisecond

// Node is one API or worker process. One that ends is started again, as an
// operator's supervisor would.
type Node struct {
	Name string
	Addr string // host:port of its HTTP

	binary string
	env    []string
	plan   string // the file of its failpoints
	log    *os.File
	record *history.Recorder

	mu      sync.Mutex
	cmd     *exec.Cmd
	child   *process.Child // nil if it did not start
	stopped chan struct{}
}

// run keeps the node up until ctx ends.
func (n *Node) run(ctx context.Context) {
	defer close(n.stopped)
	for ctx.Err() == nil {
		program, err := n.start()
		if err != nil {
			n.record.Event("did not start", n.Name, err.Error())
		} else {
			select {
			case <-program.Done():
				n.record.Event(history.Ended, n.Name, fmt.Sprint(program.Err()))
			case <-ctx.Done():
				return
			}
		}
		Pause(ctx, restartPause)
	}
}

func (n *Node) start() (program *process.Child, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = exec.Command(n.binary) //nolint:gosec,noctx // G204: our own binary. child ends it.
	n.cmd.Env = append(os.Environ(), n.env...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.child, err = process.Start(n.cmd, syscall.SIGKILL)
	if err == nil {
		n.record.Event(history.Started, n.Name, strconv.Itoa(n.cmd.Process.Pid))
	}
	return n.child, err
}

// PID is the process that started last, and 0 if none did.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.child == nil {
		return 0
	}
	return n.cmd.Process.Pid
}

// Signal sends sig to the present process, if there is one.
func (n *Node) Signal(sig syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.child == nil {
		return nil
	}
	events := map[syscall.Signal]string{
		syscall.SIGSTOP: history.Stopped, syscall.SIGCONT: history.Continued, syscall.SIGTERM: history.ToldToStop,
	}
	if event, noted := events[sig]; noted { // what ends it is seen by its end
		n.record.Event(event, n.Name, strconv.Itoa(n.cmd.Process.Pid))
	}
	return n.child.Signal(sig)
}

// Plan replaces the node's failpoints. It holds for later processes too.
func (n *Node) Plan(text string) error {
	draft := n.plan + ".new"
	err := os.WriteFile(draft, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(draft, n.plan)
	}
	if err != nil {
		return fmt.Errorf("set the failpoints of %s: %w", n.Name, err)
	}
	return nil
}

// Paused reports whether the process is stopped by a signal.
func (n *Node) Paused() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	if err != nil {
		return false // it has just ended
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}

// Get reads a page that the node serves.
func (n *Node) Get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Addr+path, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return string(text), err
}

// close ends the node for good, after run has ended.
func (n *Node) close() error {
	<-n.stopped
	var err error
	if n.child != nil {
		_ = n.child.Signal(syscall.SIGCONT) // a stopped process hears nothing else
		err = n.child.Stop(syscall.SIGTERM, 20*time.Second)
	}
	return errors.Join(err, n.log.Close())
}

// Hits is how often a failpoint struck any node of the rig.
func (r *Rig) Hits(point string) (int, error) {
	text, err := os.ReadFile(r.hitsFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read what the failpoints did: %w", err)
	}
	return strings.Count("\n"+string(text), "\n"+point+" "), nil
}

func (r *Rig) hitsFile() string { return filepath.Join(r.scratch, "failpoints.log") }
