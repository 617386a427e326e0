package rig

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"regexp"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	// RoleArgument is the first argument of this program when it is one process
	// of a system; the role follows.
	RoleArgument = "role"
	// profileVariable names the file for a CPU profile of the process's life.
	profileVariable = "BENCH_PROFILE"

	bootPatience = 30 * time.Second
	bootPause    = 5 * time.Millisecond
	stopPatience = 40 * time.Second
)

// Process is a part of a system that runs on its own.
type Process struct {
	// Role is the part that it plays, and Address where it listens.
	Role, Address string

	child   *process.Child
	log     string
	witness *rpc.Client // once it was asked
}

// Spawn runs this very program in a role, on the rig's stores and with the
// variables of env, and returns once its log says where it listens: announced
// has the address as its group.
func (r *Rig) Spawn(ctx context.Context, role string, announced *regexp.Regexp, env ...string) (*Process, error) {
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
	command.Stdout, command.Stderr = log, log
	if p.child, err = process.Start(command, syscall.SIGKILL); err != nil {
		return nil, err
	}
	booting, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	err = Until(booting, bootPause, func() (bool, error) {
		select {
		case <-p.child.Done():
			return false, errors.New("it has ended")
		default:
		}
		log, err := os.ReadFile(p.log)
		found := announced.FindSubmatch(log)
		if found != nil {
			p.Address = string(found[1])
		}
		return found != nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not come up: %w", role, err), p.Stop())
	}
	return p, nil
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

// Stop ends the process in an orderly way. It is an error, with the end of the
// log, if it had ended by itself, badly, or had to be killed.
func (p *Process) Stop() error {
	defer os.Remove(p.log) // Should it stay, it is a temporary file.
	err := errors.Join(p.child.Stop(syscall.SIGTERM, stopPatience), p.child.Err())
	if p.witness != nil {
		err = errors.Join(err, p.witness.Close())
	}
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
