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

// listening finds where a process listens in its log: in the line of Announce,
// or in the one that timewheel's own services write.
var listening = regexp.MustCompile(`listening\D*(127\.0\.0\.1:\d+)`)

// Announce writes to the log where this process listens.
func Announce(address string) { fmt.Fprintln(os.Stderr, "listening", address) }

// Process is a part of a system that runs on its own.
type Process struct {
	// Address is where it listens, as host:port.
	Address string
	// Role is the part that it plays.
	Role string

	child   *process.Child
	command *exec.Cmd
	log     string
}

// Build builds a package of timewheel's module and returns the program. It
// builds in that module, so with the versions of libraries that timewheel has
// and not those that the bench shares with the rivals.
func (r *Rig) Build(ctx context.Context, name string) (string, error) {
	program := filepath.Join(r.dir, filepath.Base(name))
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/timewheel/timewheel").Output()
	if err != nil {
		return "", fmt.Errorf("find timewheel's module: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, name) //nolint:gosec // G204: all are our own.
	build.Dir = strings.TrimSpace(string(root))
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, output)
	}
	return program, nil
}

// RoleArgument is the first argument of this program when it is one process of
// a system; the role follows.
const RoleArgument = "role"

// SpawnRole is Spawn of this very program in another role.
func (r *Rig) SpawnRole(ctx context.Context, role string, env map[string]string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return r.Spawn(ctx, role, exec.Command(program, RoleArgument, role), env) //nolint:gosec,noctx // G204: this program itself. child ends it.
}

// Spawn runs the command on the rig's stores and returns once it listens. The
// variables of env win over those of the environment. Its log goes to a file
// beside the stores' logs.
func (r *Rig) Spawn(ctx context.Context, role string, command *exec.Cmd, env map[string]string) (*Process, error) {
	r.spawned++
	p := &Process{Role: role, command: command, log: filepath.Join(r.dir, fmt.Sprintf("%s-%d.log", role, r.spawned))}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("make a log for %s: %w", role, err)
	}
	defer log.Close() // The child holds its own copy.
	command.Env = append(os.Environ(), "DATABASE_URL="+r.DatabaseURL, "REDIS_URL="+r.RedisURL, "LISTEN_ADDR=127.0.0.1:0", "API_SHUTDOWN_DELAY=0s")
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	command.Stdout, command.Stderr = log, log
	if p.child, err = process.Start(command, syscall.SIGKILL); err != nil {
		return nil, err
	}
	if err := p.awaitAddress(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Process) awaitAddress(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootPatience)
	defer cancel()
	for {
		log, err := os.ReadFile(p.log)
		if err != nil {
			return fmt.Errorf("wait for %s: %w", p.Role, err)
		}
		if found := listening.FindSubmatch(log); found != nil {
			p.Address = string(found[1])
			return nil
		}
		select {
		case <-p.child.Done():
			return fmt.Errorf("%s ended before it listened; its log: %s", p.Role, p.logTail())
		default:
		}
		if err := Pause(ctx, bootPause); err != nil {
			return fmt.Errorf("%s did not come up: %w; its log: %s", p.Role, err, p.logTail())
		}
	}
}

func (p *Process) pid() int { return p.command.Process.Pid }

// PeakMemory is the most memory that the process has had resident, in bytes.
func (p *Process) PeakMemory() (float64, error) {
	process, err := procfs.NewProc(p.pid())
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
