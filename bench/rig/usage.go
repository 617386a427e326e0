package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// ticksPerSecond is the unit of CPU time in /proc, which Linux fixes for programs.
const ticksPerSecond = 100

// Usage is CPU time spent since the beginning, in user and kernel mode.
type Usage struct {
	// Nodes is that of the system's own processes.
	Nodes, Redis, Postgres time.Duration
}

// Total is all of it.
func (u Usage) Total() time.Duration { return u.Nodes + u.Redis + u.Postgres }

// Since is what was spent after the earlier look.
func (u Usage) Since(before Usage) Usage {
	return Usage{u.Nodes - before.Nodes, u.Redis - before.Redis, u.Postgres - before.Postgres}
}

// Usage reads the CPU time of both stores and of the given processes, each
// with all of its descendants.
func (r *Rig) Usage(nodes []*Process) (Usage, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return Usage{}, fmt.Errorf("list the processes: %w", err)
	}
	spent, children := map[int]time.Duration{}, map[int][]int{}
	for _, process := range all {
		stat, err := process.Stat()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // It ended since it was listed.
		}
		if err != nil {
			return Usage{}, fmt.Errorf("read the CPU time of a process: %w", err)
		}
		// What ended children have spent is counted with their parent.
		ticks := int(stat.UTime) + int(stat.STime) + stat.CUTime + stat.CSTime
		spent[stat.PID] = time.Duration(ticks) * time.Second / ticksPerSecond
		children[stat.PPID] = append(children[stat.PPID], stat.PID)
	}
	var tree func(id int) time.Duration
	tree = func(id int) time.Duration {
		sum := spent[id]
		for _, child := range children[id] {
			sum += tree(child)
		}
		return sum
	}
	u := Usage{Redis: tree(r.redis.PID()), Postgres: tree(r.postgres.PID())}
	for _, node := range nodes {
		u.Nodes += tree(node.child.PID())
	}
	return u, nil
}
