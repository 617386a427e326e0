package scheduler

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxLater bounds what is remembered while Redis is away. What goes beyond
	// is found by the repair once it is overdue.
	maxLater = 100_000
	// laterTimeout bounds one try to catch up.
	laterTimeout = 5 * time.Second
)

// later holds the tasks that Redis did not take. While it holds any, Redis is
// left alone, so that a burst of creates does not wait for it one after the
// other; they are told to it again after a holiday.
type later struct {
	mu    sync.Mutex
	away  bool
	tasks []task.Due
}

// active reports whether Redis is left alone now.
func (l *later) active() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.away
}

// add remembers tasks if Redis is left alone now, and says so.
func (l *later) add(tasks []task.Due) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		l.keep(tasks)
	}
	return l.away
}

// begin remembers tasks that Redis did not take. It reports whether this begins
// a holiday, at whose end the caller must catch up.
func (l *later) begin(tasks []task.Due) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.away
	l.away = true
	l.keep(tasks)
	return first
}

func (l *later) keep(tasks []task.Due) {
	l.tasks = append(l.tasks, tasks[:min(len(tasks), maxLater-len(l.tasks))]...)
}

// take hands out all that is remembered, or ends the holiday if nothing is.
func (l *later) take() []task.Due {
	l.mu.Lock()
	defer l.mu.Unlock()
	tasks := l.tasks
	l.tasks = nil
	l.away = len(tasks) > 0
	return tasks
}

// catchUp tells Redis what it missed, and tries again after another holiday as
// long as it does not listen.
func (s *Scheduler) catchUp() {
	for tasks := s.later.take(); len(tasks) > 0; tasks = s.later.take() {
		// Soonest first: most of them may be late already.
		slices.SortFunc(tasks, func(a, b task.Due) int { return a.At.Compare(b.At) })
		ctx, cancel := context.WithTimeout(context.Background(), laterTimeout)
		err := s.ring.Index(ctx, tasks)
		cancel()
		if err != nil {
			s.later.begin(tasks)
			time.AfterFunc(indexHoliday, s.catchUp)
			return
		}
		s.log.Info("tasks are indexed after all", "tasks", len(tasks))
	}
}
