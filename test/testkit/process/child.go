// Package process runs programs that end with the program that started them:
// each is a process group of its own, so that a Ctrl-C in the terminal reaches
// the parent only, and on Linux the kernel signals it when the parent dies,
// even by SIGKILL.
package process

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Child is a program that was started.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start runs cmd. The child gets onParentDeath when this process dies. It
// fails if the program cannot be started.
func Start(cmd *exec.Cmd, onParentDeath syscall.Signal) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	setDeathSignal(cmd.SysProcAttr, onParentDeath)
	// A grandchild that keeps the output open must not keep Wait from ending.
	cmd.WaitDelay = 2 * time.Second

	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel counts the death of the thread that forked as the
		// parent's, so that thread stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// ErrInterrupted says that a program was told to end, and did.
var ErrInterrupted = errors.New("interrupted")

// Run runs cmd to its end. If ctx ends first, sig asks it to end, with everything that it
// started, within the patience.
func Run(ctx context.Context, cmd *exec.Cmd, sig syscall.Signal, patience time.Duration) error {
	c, err := Start(cmd, syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		if err := c.Stop(sig, patience); err != nil {
			return err
		}
		return ErrInterrupted
	}
}

// PID is the id of the child's process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed once the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Running reports whether there is a child that has not ended.
func (c *Child) Running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Err says how the child ended, and is nil for status 0. It blocks until the
// child has ended.
func (c *Child) Err() error {
	<-c.done
	return c.err
}

// Signal sends sig to the child's whole process group. A group that has ended
// is no error.
func (c *Child) Signal(sig syscall.Signal) error {
	err := syscall.Kill(-c.PID(), sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to %s: %w", sig, c.cmd.Path, err)
	}
	return nil
}

// Stop sends sig, waits for the child to end, and kills its group when the
// patience is over, which is an error.
func (c *Child) Stop(sig syscall.Signal, patience time.Duration) error {
	if err := c.Signal(sig); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(patience):
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return fmt.Errorf("%s did not end within %s of %s and was killed", c.cmd.Path, patience, sig)
}
