package check

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/task"
	"github.com/timewheel/timewheel/test/chaos/internal/history"
)

func (h *History) loadSessions(dir string) error {
	sessions, err := history.Read[history.Session](dir, history.SessionsFile)
	if err != nil {
		return err
	}
	h.Processes = make(map[uuid.UUID]string, len(sessions))
	for _, s := range sessions {
		h.Processes[s.ID] = s.Host[strings.LastIndexByte(s.Host, '/')+1:]
	}
	var config struct {
		System struct {
			Lease time.Duration `json:"lease"`
		} `json:"system"`
	}
	text, err := os.ReadFile(filepath.Join(dir, history.ConfigFile)) //nolint:gosec // G304: as in history.Read.
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil {
		return fmt.Errorf("read the configuration of the run: %w", err)
	}
	h.Lease = config.System.Lease
	return nil
}

// lostWorkers is the part of K1 that judges worker_lost: a task has it only if its
// worker's process ended, was told to, or stood still for longer than its lease. That
// the stores were away is no death of any worker.
func lostWorkers(h *History, v *Verdict) {
	downs := downtimes(h)
	for id, steps := range h.Transitions {
		for _, t := range steps {
			if t.Failure != string(task.WorkerLost) || t.From != string(task.Started) {
				continue
			}
			v.Counts["worker_lost"]++
			if pid, known := h.Processes[t.Worker]; known && !downs[pid].before(t.At, h.Lease) {
				v.find(Schedule, "%s: attempt %d is worker_lost, and the process %s was never down for longer than its lease", id, t.Attempt, pid)
			}
		}
	}
}

// downtime is when a process was down.
type downtime struct {
	// gone is when it ended or was told to, or zero.
	gone time.Time
	// from and to are when it stood still; to is zero for as long as it lasts.
	still []struct{ from, to time.Time }
}

// before reports whether the process was gone by a time, or had stood still for so
// long.
func (d downtime) before(at time.Time, long time.Duration) bool {
	if !d.gone.IsZero() && !d.gone.After(at) {
		return true
	}
	for _, s := range d.still {
		end := s.to
		if end.IsZero() || end.After(at) {
			end = at
		}
		if end.Sub(s.from) > long {
			return true
		}
	}
	return false
}

func downtimes(h *History) map[string]downtime {
	downs := map[string]downtime{}
	last := map[string]string{} // the process of a node that started last
	for _, e := range h.Events {
		pid := e.Detail
		if e.What == history.Ended {
			pid = last[e.To]
		}
		d := downs[pid]
		switch e.What {
		case history.Started:
			last[e.To] = pid
		case history.Ended, history.ToldToStop:
			if d.gone.IsZero() {
				d.gone = e.At
			}
		case history.Stopped:
			d.still = append(d.still, struct{ from, to time.Time }{from: e.At})
		case history.Continued:
			if n := len(d.still); n > 0 && d.still[n-1].to.IsZero() {
				d.still[n-1].to = e.At
			} else {
				// It stopped itself, at a failpoint: nobody knows when, but it is
				// let go on only after longer than a lease.
				d.still = append(d.still, struct{ from, to time.Time }{to: e.At})
			}
		default:
			continue
		}
		downs[pid] = d
	}
	return downs
}
