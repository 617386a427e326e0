package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/chaos/internal/history"
	"github.com/timewheel/timewheel/test/testkit/process"
)

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

	child   atomic.Pointer[process.Child] // the one that started last, or nil
	stopped chan struct{}
}

// run keeps the node up until ctx ends.
func (n *Node) run(ctx context.Context) {
	defer close(n.stopped)
	for ctx.Err() == nil {
		command := exec.Command(n.binary) //nolint:gosec,noctx // G204: our own binary. The child ends it.
		command.Env = append(os.Environ(), n.env...)
		command.Stdout, command.Stderr = n.log, n.log
		child, err := process.Start(command, syscall.SIGKILL)
		if err != nil {
			n.record.Event("did not start", n.Name, err.Error())
		} else {
			n.child.Store(child)
			n.record.Event(history.Started, n.Name, strconv.Itoa(child.PID()))
			select {
			case <-child.Done():
				n.record.Event(history.Ended, n.Name, fmt.Sprint(child.Err()))
			case <-ctx.Done():
				return
			}
		}
		Pause(ctx, 200*time.Millisecond)
	}
}

// PID is the process that started last, and 0 if none did.
func (n *Node) PID() int {
	if child := n.child.Load(); child != nil {
		return child.PID()
	}
	return 0
}

// Signal sends sig to the present process, if there is one.
func (n *Node) Signal(sig syscall.Signal) error {
	child := n.child.Load()
	if child == nil {
		return nil
	}
	events := map[syscall.Signal]string{
		syscall.SIGSTOP: history.Stopped, syscall.SIGCONT: history.Continued, syscall.SIGTERM: history.ToldToStop,
	}
	if event, noted := events[sig]; noted { // what ends it is seen by its end
		n.record.Event(event, n.Name, strconv.Itoa(child.PID()))
	}
	return child.Signal(sig)
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
	return err == nil && strings.Contains(string(stat), ") T ") // it may have ended just now
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
	if child := n.child.Load(); child != nil {
		_ = child.Signal(syscall.SIGCONT) // a stopped process hears nothing else
		err = child.Stop(syscall.SIGTERM, 20*time.Second)
	}
	return errors.Join(err, n.log.Close())
}
