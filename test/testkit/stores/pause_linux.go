package stores

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Pause stops all processes of the server, as a machine that stands still does:
// connections stay, and nobody answers. Resume lets them go on.
func (p *Postgres) Pause() (resume func() error, err error) {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return nil, fmt.Errorf("find the processes of postgres: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		return nil, fmt.Errorf("find the processes of postgres: %w", err)
	}
	var stopped []int
	resume = func() error {
		var err error
		for _, pid := range stopped {
			if one := syscall.Kill(pid, syscall.SIGCONT); !errors.Is(one, syscall.ESRCH) {
				err = errors.Join(err, one)
			}
		}
		return err
	}
	// The first of them first, so that it starts no others.
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("pause postgres: %w", err)
	}
	stopped = append(stopped, postmaster)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the backends of postgres: %w", err), resume())
	}
	for _, text := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(text); err == nil && syscall.Kill(pid, syscall.SIGSTOP) == nil {
			stopped = append(stopped, pid) // one that has just ended is not there to be stopped
		}
	}
	return resume, nil
}
