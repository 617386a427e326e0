package rig

import (
	"context"
	"errors"
	"fmt"
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
	child   *process.Child
	starts  int
	stopped chan struct{}
}

// Serves reports whether the node is an API.
func (n *Node) Serves() bool { return strings.HasPrefix(n.Name, "api") }

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
				n.record.Event(history.Ended, n.Name, n.ending(program))
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
		}
	}
}

func (n *Node) start() (*process.Child, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd = exec.Command(n.binary) //nolint:gosec,noctx // G204: our own binary. child ends it.
	n.cmd.Env = append(os.Environ(), n.env...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	program, err := process.Start(n.cmd, syscall.SIGKILL)
	n.child = program
	n.starts++
	if err == nil {
		n.record.Event(history.Started, n.Name, strconv.Itoa(n.cmd.Process.Pid))
	}
	return program, err
}

// ending words how a process ended.
func (n *Node) ending(program *process.Child) string {
	err := program.Err()
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// PID is the present process, and 0 if there is none.
func (n *Node) PID() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.child == nil {
		return 0
	}
	select {
	case <-n.child.Done():
		return 0
	default:
		return n.cmd.Process.Pid
	}
}

// Starts is how often the node was started.
func (n *Node) Starts() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.starts
}

// Signal sends sig to the present process, if there is one.
func (n *Node) Signal(sig syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.child == nil {
		return nil
	}
	pid := strconv.Itoa(n.cmd.Process.Pid)
	switch sig {
	case syscall.SIGSTOP:
		n.record.Event(history.Stopped, n.Name, pid)
	case syscall.SIGCONT:
		n.record.Event(history.Continued, n.Name, pid)
	case syscall.SIGTERM:
		n.record.Event(history.ToldToStop, n.Name, pid)
	default: // what ends it is seen by its end
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
	pid := n.PID()
	if pid == 0 {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false // it has just ended
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}

// close ends the node for good, after run has ended.
func (n *Node) close() error {
	<-n.stopped
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.child != nil {
		_ = n.child.Signal(syscall.SIGCONT) // a stopped process hears nothing else
		err = n.child.Stop(syscall.SIGTERM, 20*time.Second)
	}
	return errors.Join(err, n.log.Close())
}

func (n *Node) hits() string { return filepath.Join(filepath.Dir(n.plan), "failpoints.log") }

// Hits is how often a failpoint struck any node of the rig.
func (r *Rig) Hits(point string) (int, error) {
	text, err := os.ReadFile(r.Nodes[0].hits())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read what the failpoints did: %w", err)
	}
	return strings.Count("\n"+string(text), "\n"+point+" "), nil
}
