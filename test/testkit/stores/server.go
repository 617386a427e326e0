package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	startPatience = 60 * time.Second
	stopPatience  = 30 * time.Second
	probePause    = 20 * time.Millisecond
	probePatience = 2 * time.Second
)

// server is what Postgres and Redis have in common: a program, its folder, its
// port, and a way to see that it answers. Its methods are for one goroutine.
type server struct {
	name      string
	dir       string
	temporary bool
	port      *port
	program   *process.Child
	// command makes the program for each start.
	command func() *exec.Cmd
	// probe is nil once the server serves.
	probe func(context.Context) error
	// shutdown asks the program for an orderly end.
	shutdown syscall.Signal
	// transient are the log lines of a start that fails because the previous
	// program has not quite ended.
	transient []string
}

// Start brings the server up on the data and the port it had before, and
// returns once it answers. An error quotes the server's log if it died.
func (s *server) Start(ctx context.Context) error {
	if s.running() {
		return fmt.Errorf("start %s: it is running already", s.name)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := s.startOnce(ctx)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("start %s: %w", s.name, errors.Join(err, s.Kill()))
		if !errors.Is(err, errDied) || !s.isTransient(err) || pause(ctx) != nil {
			return err
		}
	}
}

func (s *server) startOnce(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // The child holds its own copy.
	before, err := log.Stat()
	if err != nil {
		return err
	}
	command := s.command()
	command.Stdout, command.Stderr = log, log
	if s.program, err = process.Start(command, s.shutdown); err != nil {
		return err
	}
	return s.awaitReady(ctx, before.Size())
}

func (s *server) awaitReady(ctx context.Context, logStart int64) error {
	for {
		err := s.probeOnce(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.program.Done():
			return fmt.Errorf("%w (%w); its log: %s", errDied, ended(s.program), tail(s.LogFile(), logStart))
		default:
		}
		if ctxErr := pause(ctx); ctxErr != nil {
			return fmt.Errorf("wait until it answers: %w: %w", ctxErr, err)
		}
	}
}

func (s *server) probeOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	return s.probe(ctx)
}

func (s *server) isTransient(err error) bool {
	return slices.ContainsFunc(s.transient, func(line string) bool { return strings.Contains(err.Error(), line) })
}

func (s *server) running() bool {
	if s.program == nil {
		return false
	}
	select {
	case <-s.program.Done():
		return false
	default:
		return true
	}
}

// Stop ends the server in an orderly way; its data and its port stay for
// Start. It is an error if the server had to be killed. A server that does not
// run is no error.
func (s *server) Stop() error {
	if !s.running() {
		return nil
	}
	return s.program.Stop(s.shutdown, stopPatience)
}

// Kill ends the server by SIGKILL; its data and its port stay for Start. A
// server that does not run is no error.
func (s *server) Kill() error {
	if !s.running() {
		return nil
	}
	return s.program.Stop(syscall.SIGKILL, stopPatience)
}

// Restart is Stop, then Start.
func (s *server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return fmt.Errorf("restart %s: %w", s.name, err)
	}
	return s.Start(ctx)
}

// Close is Stop, and gives up the port and a temporary folder. The server
// cannot be started again.
func (s *server) Close() error {
	err := errors.Join(s.Stop(), s.port.release())
	if s.temporary {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Done is closed when the server that runs now has ended.
func (s *server) Done() <-chan struct{} { return s.program.Done() }

// PID is the process id of the server that runs now.
func (s *server) PID() int { return s.program.PID() }

// LogFile is the path of the server's log.
func (s *server) LogFile() string { return filepath.Join(s.dir, s.name+".log") }

// ended turns an orderly end into words too: a server is not meant to end.
func ended(program *process.Child) error {
	if err := program.Err(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// tail is the end of what a log gained since offset, at most 2 KiB.
func tail(path string, offset int64) string {
	log, err := os.ReadFile(path) //nolint:gosec // G304: the path is our own.
	if err != nil {
		return err.Error()
	}
	log = log[min(offset, int64(len(log))):]
	return strings.TrimSpace(string(log[max(0, len(log)-2<<10):]))
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(probePause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
