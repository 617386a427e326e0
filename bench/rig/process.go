package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/timewheel/timewheel/test/testkit/process"
)

const (
	bootPatience = 30 * time.Second
	bootPause    = 5 * time.Millisecond
	stopPatience = 40 * time.Second
)

const (
	// RoleArgument is the first argument of this program when it is one process
	// of a system; the role follows.
	RoleArgument = "role"
	// ProfileVariable names the file for a CPU profile of the process's life.
	ProfileVariable = "BENCH_PROFILE"
)

// Process is a part of a system that runs on its own.
type Process struct {
	// Address is where it listens, as host:port.
	Address string
	// Role is the part that it plays.
	Role string

	child *process.Child
	log   string
}

// Spawn runs this very program in a role, on the rig's stores and with the
// variables of env, and returns once its log says where it listens: announced
// has the address as its group. The log is a file beside those of the stores.
func (r *Rig) Spawn(ctx context.Context, role string, announced *regexp.Regexp, env ...string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r.spawned++
	p := &Process{Role: role, log: filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", role, r.spawned))}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", role, err)
	}
	defer log.Close()                                    // The child holds its own copy.
	command := exec.Command(program, RoleArgument, role) //nolint:gosec,noctx // G204: this program itself. child ends it.
	command.Env = append(os.Environ(), "DATABASE_URL="+r.DatabaseURL, "REDIS_URL="+r.RedisURL,
		"LISTEN_ADDR=127.0.0.1:0", "API_SHUTDOWN_DELAY=0s")
	if r.Profile != "" {
		command.Env = append(command.Env, ProfileVariable+"="+r.Profile+"-"+role+".pprof")
	}
	command.Env = append(command.Env, env...)
	command.Stdout, command.Stderr = log, log
	if p.child, err = process.Start(command, syscall.SIGKILL); err != nil {
		return nil, err
	}
	if err := p.awaitAddress(ctx, announced); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not come up: %w; its log: %s", role, err, p.logTail()), p.Stop())
	}
	return p, nil
}

func (p *Process) awaitAddress(ctx context.Context, announced *regexp.Regexp) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	return Until(ctx, bootPause, func() (bool, error) {
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
}

// PeakMemory is the most memory that the process has had resident, in bytes.
func (p *Process) PeakMemory() (float64, error) {
	process, err := procfs.NewProc(p.child.PID())
	if err != nil {
		return 0, fmt.Errorf("look at %s, whose log ends: %s: %w", p.Role, p.logTail(), err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", p.Role, err)
	}
	return float64(status.VmHWM), nil
}

// Stop ends the process in an orderly way. It is an error if it had ended by
// itself, badly, or had to be killed.
func (p *Process) Stop() error {
	if err := p.child.Stop(syscall.SIGTERM, stopPatience); err != nil {
		return err
	}
	if err := p.child.Err(); err != nil {
		return fmt.Errorf("%s ended with %w; its log: %s", p.Role, err, p.logTail())
	}
	return nil
}

// logTail is the end of the process's log, at most 1 KiB.
func (p *Process) logTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(log[max(0, len(log)-1<<10):]))
}
