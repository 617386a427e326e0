package stores

import (
	"cmp"
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

	"github.com/cenkalti/backoff/v5"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	startPatience = 60 * time.Second
	stopPatience  = 30 * time.Second
	probePause    = 20 * time.Millisecond
	probePatience = 2 * time.Second
)

// server is what Postgres and Redis have in common: a program, its folder, its
// port, its password, and a way to see that it answers. Its methods are for one
// goroutine.
type server struct {
	name      string
	dir       string
	temporary bool
	port      *port
	password  string
	program   *process.Child
	// command makes the program for each start.
	command func() *exec.Cmd
	// probe is nil once the server serves.
	probe func(context.Context) error
	// shutdown asks the program for an orderly end.
	shutdown syscall.Signal
	// logged is the size that the log had before the present start.
	logged int64
}

// prepare makes the server's folder and keeps a port for it.
func (s *server) prepare(options Options) (err error) {
	s.dir, s.temporary = options.Dir, options.Dir == ""
	if s.temporary {
		s.dir, err = TempDir("timewheel-" + s.name + "-")
	} else {
		err = os.MkdirAll(s.dir, 0o711) //nolint:gosec // G301: Postgres' own user must get through, and the data below is 0700.
	}
	if err == nil {
		s.port, err = reservePort(options.Port)
	}
	if err != nil {
		return fmt.Errorf("prepare %s: %w", s.name, err)
	}
	return nil
}

// transient are the log lines of a start that fails because the previous program was
// killed and has not quite ended.
var transient = []string{`lock file "postmaster.pid" already exists`, "is still in use", "Address already in use"}

// Start brings the server up on the data and the port it had before, and
// returns once it answers. An error quotes the server's log if it died.
func (s *server) Start(ctx context.Context) error {
	if s.program.Running() {
		return fmt.Errorf("start %s: it is running already", s.name)
	}
	err := s.launch()
	if err == nil {
		err = await(ctx, func(ctx context.Context) error {
			answer := s.probe(ctx)
			if answer == nil || s.program.Running() {
				return answer
			}
			log := s.logTail()
			err := fmt.Errorf("it ended before it was ready (%w); its log: %s", cmp.Or(s.program.Err(), errors.New("exit status 0")), log)
			if slices.ContainsFunc(transient, func(line string) bool { return strings.Contains(log, line) }) {
				return errors.Join(err, s.launch())
			}
			return backoff.Permanent(err)
		})
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, errors.Join(err, s.Kill()))
	}
	return nil
}

func (s *server) launch() error {
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // The child holds its own copy.
	before, err := log.Stat()
	if err != nil {
		return err
	}
	s.logged = before.Size()
	command := s.command()
	command.Stdout, command.Stderr = log, log
	program, err := process.Start(command, s.shutdown)
	if err == nil {
		s.program = program
	}
	return err
}

// await asks again and again, until the answer is nil or permanent, or the time is over.
func await(ctx context.Context, ask func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		once, cancel := context.WithTimeout(ctx, probePatience)
		defer cancel()
		return struct{}{}, ask(once)
	}, backoff.WithBackOff(backoff.NewConstantBackOff(probePause)), backoff.WithMaxElapsedTime(startPatience))
	return err
}

// end sends the signal and waits for the end. A server that does not run is no error.
func (s *server) end(sig syscall.Signal) error {
	if !s.program.Running() {
		return nil
	}
	return s.program.Stop(sig, stopPatience)
}

// Stop ends the server in an orderly way; its data and its port stay for
// Start. It is an error if the server had to be killed. A server that does not
// run is no error.
func (s *server) Stop() error { return s.end(s.shutdown) }

// Kill ends the server by SIGKILL; its data and its port stay for Start. A
// server that does not run is no error.
func (s *server) Kill() error { return s.end(syscall.SIGKILL) }

// Restart is Stop, then Start.
func (s *server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
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

// logTail is the end of what the present start logged, at most 2 KiB.
func (s *server) logTail() string {
	log, err := os.ReadFile(s.LogFile())
	if err != nil {
		return err.Error()
	}
	log = log[min(s.logged, int64(len(log))):]
	return strings.TrimSpace(string(log[max(0, len(log)-2<<10):]))
}
