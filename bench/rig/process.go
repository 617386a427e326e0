package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"regexp"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	// RoleArgument is the first argument of this program when it is one process of a
	// system; the role follows.
	RoleArgument = "role"
	// profileVariable names the file for a CPU profile of the process's life.
	profileVariable = "BENCH_PROFILE"

	bootPatience = 30 * time.Second
	stopPatience = 40 * time.Second
)

// Process is a part of a system that runs on its own.
type Process struct {
	// Role is the part that it plays, and Address where it listens.
	Role, Address string

	child   *process.Child
	log     string
	witness *rpc.Client // which ends with the process
}

// Spawn runs this very program in a role, on the rig's stores and with the variables of
// env, and returns once its witness says that it is ready. What it logs goes to a file.
func (r *Rig) Spawn(ctx context.Context, role string, env ...string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.CreateTemp("", role+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", role, err)
	}
	defer log.Close() // The child holds its own copy.
	p := &Process{Role: role, log: log.Name()}
	command := exec.Command(program, RoleArgument, role) //nolint:gosec,noctx // G204: this program itself. child ends it.
	command.Env = append(os.Environ(), "DATABASE_URL="+r.DatabaseURL, "REDIS_URL="+r.RedisURL,
		"LISTEN_ADDR=127.0.0.1:0", "API_SHUTDOWN_DELAY=0s")
	if r.Profile != "" {
		command.Env = append(command.Env, profileVariable+"="+r.Profile+"-"+role+".pprof")
	}
	command.Env = append(command.Env, env...)
	command.Stderr = log
	stdin, err := command.StdinPipe()
	stdout, err2 := command.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", role, err)
	}
	if p.child, err = process.Start(command, syscall.SIGKILL); err != nil {
		return nil, err
	}
	p.witness = rpc.NewClient(stdio{stdout, stdin})
	booting, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	// A kill ends the call too.
	defer context.AfterFunc(booting, func() { _ = p.child.Signal(syscall.SIGKILL) })()
	if err := p.Ask("Ready", &p.Address); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not come up: %w", role, err), p.Stop())
	}
	return p, nil
}

// Ask calls a method of the process's witness.
func (p *Process) Ask(method string, answer any) error {
	if err := p.witness.Call("Witness."+method, 0, answer); err != nil {
		return fmt.Errorf("ask the witness of %s: %w", p.Role, err)
	}
	return nil
}

// PeakMemory is the most memory that the process has had resident, in bytes.
func (p *Process) PeakMemory() (float64, error) {
	process, err := procfs.NewProc(p.child.PID())
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", p.Role, err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", p.Role, err)
	}
	return float64(status.VmHWM), nil
}

// Stop ends the process in an orderly way. It is an error, with the end of the log, if it
// had ended by itself, badly, or had to be killed.
func (p *Process) Stop() error {
	defer os.Remove(p.log) // Should it stay, it is a temporary file.
	err := errors.Join(p.child.Stop(syscall.SIGTERM, stopPatience), p.child.Err())
	if err == nil {
		return nil
	}
	log, logErr := os.ReadFile(p.log)
	return errors.Join(fmt.Errorf("%s ended with %w; its log: %s", p.Role, err, log[max(0, len(log)-1<<10):]), logErr)
}

// Profiled is the life of a process that Spawn has started.
func Profiled(live func() error) (err error) {
	path := os.Getenv(profileVariable)
	if path == "" {
		return live()
	}
	file, err := os.Create(path) //nolint:gosec // G304: the path is our own.
	if err != nil {
		return fmt.Errorf("make a profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("begin a profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return live()
}

// keepSamples bounds the memory of a witness.
const keepSamples = 200_000

// listening finds in the log of timewheel's API where it listens.
var listening = regexp.MustCompile(`"http server listening","addr":"([^"]+)"`)

// stdio connects the driver and a witness.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// Witness stands inside a process, whosever it is: it holds a worker back until the driver
// lets it go, sees every task that is handled, and tells the driver how late each was by
// this machine's wall clock. The driver calls it by net/rpc over standard input and output.
type Witness struct {
	ready    chan string
	released chan struct{}
	release  sync.Once

	mu   sync.Mutex
	seen int
	late []time.Duration
}

// NewWitness makes the witness of this process.
func NewWitness() (*Witness, error) {
	w := &Witness{ready: make(chan string, 1), released: make(chan struct{})}
	server := rpc.NewServer()
	if err := server.Register(w); err != nil {
		return nil, fmt.Errorf("serve the driver: %w", err)
	}
	go server.ServeConn(stdio{os.Stdin, os.Stdout})
	return w, nil
}

// Hold says that the worker is ready, and waits until the driver lets it go or, which is
// the error, for the end of ctx.
func (w *Witness) Hold(ctx context.Context) error {
	w.ready <- ""
	select {
	case <-w.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Write passes the log of an API on, and says that it is ready once it listens.
func (w *Witness) Write(line []byte) (int, error) {
	if found := listening.FindSubmatch(line); found != nil {
		w.ready <- string(found[1])
	}
	return os.Stderr.Write(line)
}

// Saw notes that the handler of a task that was due at this time is running.
func (w *Witness) Saw(due time.Time) {
	late := time.Since(due)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	if len(w.late) < keepSamples {
		w.late = append(w.late, late)
	}
}

// Ready waits until the process is ready, and is where it listens.
func (w *Witness) Ready(_ int, address *string) error {
	*address = <-w.ready
	return nil
}

// Release lets the worker go.
func (w *Witness) Release(_ int, _ *int) error {
	w.release.Do(func() { close(w.released) })
	return nil
}

// Seen is how many tasks the worker has handled.
func (w *Witness) Seen(_ int, seen *int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	*seen = w.seen
	return nil
}

// Lateness is how long after its time each task reached its handler; negative is early. It
// holds the first tasks only, if there were very many.
func (w *Witness) Lateness(_ int, late *[]time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	*late = w.late
	return nil
}
