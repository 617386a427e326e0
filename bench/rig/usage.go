package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// ticks is the unit of CPU time in /proc, which Linux fixes for programs.
const ticksPerSecond = 100

// Usage is CPU time spent since the beginning, in user and kernel mode.
type Usage struct {
	Postgres, Redis time.Duration
	// Nodes is that of the system's own processes.
	Nodes time.Duration
}

// Total is all of it.
func (u Usage) Total() time.Duration { return u.Postgres + u.Redis + u.Nodes }

// Since is what was spent after the earlier look.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		Postgres: u.Postgres - before.Postgres,
		Redis:    u.Redis - before.Redis,
		Nodes:    u.Nodes - before.Nodes,
	}
}

// Usage reads the CPU time of both stores and of the given processes, each
// with all of its descendants.
func (r *Rig) Usage(nodes []*Process) (Usage, error) {
	tree, err := readTree()
	if err != nil {
		return Usage{}, err
	}
	u := Usage{Postgres: tree.cpu(r.postgresPID), Redis: tree.cpu(r.redisPID)}
	for _, node := range nodes {
		u.Nodes += tree.cpu(node.pid())
	}
	return u, nil
}

// processTree is the CPU time of every process by its id, and who has started
// whom.
type processTree struct {
	spent    map[int]time.Duration
	children map[int][]int
}

func readTree() (*processTree, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	tree := &processTree{spent: map[int]time.Duration{}, children: map[int][]int{}}
	for _, process := range all {
		stat, err := process.Stat()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // It ended since it was listed.
		}
		if err != nil {
			return nil, fmt.Errorf("read the CPU time of a process: %w", err)
		}
		// What ended children have spent is counted with their parent.
		ticks := int(stat.UTime) + int(stat.STime) + stat.CUTime + stat.CSTime
		tree.spent[stat.PID] = time.Duration(ticks) * time.Second / ticksPerSecond
		tree.children[stat.PPID] = append(tree.children[stat.PPID], stat.PID)
	}
	return tree, nil
}

func (t *processTree) cpu(id int) time.Duration {
	spent := t.spent[id]
	for _, child := range t.children[id] {
		spent += t.cpu(child)
	}
	return spent
}
