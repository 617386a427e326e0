package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	// profileVariable names the file for a CPU profile of the process's life.
	profileVariable = "BENCH_PROFILE"

	bootPatience = 30 * time.Second
	stopPatience = 40 * time.Second
)

// Process is a part of a system that runs on its own.
type Process struct {
	// Role is the part that it plays, and Address where it listens.
	Role, Address string

	child     *process.Child
	log       string
	questions *json.Encoder
	answers   *json.Decoder
}

// Spawn runs a node in a role, on the rig's stores and with the variables of env, and
// returns once its witness says that it is ready.
func (r *Rig) Spawn(ctx context.Context, role string, env ...string) (*Process, error) {
	log, err := os.CreateTemp(r.dir, role+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", role, err)
	}
	defer log.Close()                                             // The child holds its own copy.
	command := exec.Command(filepath.Join(r.dir, nodeName), role) //nolint:gosec,noctx // G204: we have built it. child ends it.
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
	p := &Process{Role: role, log: log.Name(), questions: json.NewEncoder(stdin), answers: json.NewDecoder(stdout)}
	if p.child, err = process.Start(command, syscall.SIGKILL); err != nil {
		return nil, err
	}
	booting, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	// A kill ends the question too.
	defer context.AfterFunc(booting, func() { _ = p.child.Signal(syscall.SIGKILL) })()
	if err := p.Ask(Ready, &p.Address); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not come up: %w", role, err), p.Stop())
	}
	return p, nil
}

// Ask puts a question to the process's witness.
func (p *Process) Ask(question Question, answer any) error {
	err := p.questions.Encode(question)
	if err == nil {
		err = p.answers.Decode(answer)
	}
	if err != nil {
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
