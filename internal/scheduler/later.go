package scheduler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const (
	// maxLater bounds what is remembered while Redis is away. What goes beyond
	// is found by the repair once it is overdue, or by the audit.
	maxLater = 100_000
	// laterTimeout bounds one try to catch up.
	laterTimeout = 5 * time.Second
)

// news is what Redis has to be told: tasks to index, and ids to drop. No id is
// ever indexed after it was dropped, so what is dropped comes last.
type news struct {
	tasks []task.Due
	gone  []task.ID
}

// later holds the news that Redis did not take. While it holds any, Redis is
// left alone, so that a burst of creates does not wait for it one after the
// other; it is told again after a holiday.
type later struct {
	mu   sync.Mutex
	away bool
	news news
}

// add remembers news if Redis is left alone now, and says so.
func (l *later) add(n news) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		l.keep(n)
	}
	return l.away
}

// begin remembers news that Redis did not take. It reports whether this begins
// a holiday, at whose end the caller must catch up.
func (l *later) begin(n news) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.away
	l.away = true
	l.keep(n)
	return first
}

func (l *later) keep(n news) {
	l.news.tasks = append(l.news.tasks, n.tasks[:min(len(n.tasks), maxLater-len(l.news.tasks))]...)
	l.news.gone = append(l.news.gone, n.gone[:min(len(n.gone), maxLater-len(l.news.gone))]...)
}

// take hands out all that is remembered, or ends the holiday if nothing is.
func (l *later) take() (n news, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, l.news = l.news, news{}
	l.away = len(n.tasks) > 0 || len(n.gone) > 0
	return n, l.away
}

// tell tells Redis, unless it is left alone now: then, or if it does not
// listen, it is told after a holiday. Should this process end before that, the
// repair and the audit make up for it.
func (s *Scheduler) tell(ctx context.Context, n news) {
	if s.later.add(n) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	if err := s.pass(ctx, n); err != nil {
		s.log.Warn("redis is told later", "created", len(n.tasks), "deleted", len(n.gone), "error", err)
		if s.later.begin(n) {
			time.AfterFunc(ringHoliday, s.catchUp)
		}
	}
}

func (s *Scheduler) pass(ctx context.Context, n news) (err error) {
	if len(n.tasks) > 0 {
		err = s.ring.Index(ctx, n.tasks)
	}
	if len(n.gone) > 0 {
		err = errors.Join(err, s.ring.Remove(ctx, n.gone))
	}
	return err
}

// Close tells Redis what it missed, before the process ends. Within the time of
// ctx it is tried once; what is left is found by the repair and the audit.
func (s *Scheduler) Close(ctx context.Context) {
	n, more := s.later.take()
	if !more {
		return
	}
	if err := s.pass(ctx, n); err != nil {
		s.log.Warn("redis did not hear of everything before the end", "created", len(n.tasks), "deleted", len(n.gone), "error", err)
	}
}

// catchUp tells Redis what it missed, and tries again after another holiday as
// long as it does not listen.
func (s *Scheduler) catchUp() {
	for n, more := s.later.take(); more; n, more = s.later.take() {
		// Soonest first: most of them may be late already.
		slices.SortFunc(n.tasks, func(a, b task.Due) int { return a.At.Compare(b.At) })
		ctx, cancel := context.WithTimeout(context.Background(), laterTimeout)
		err := s.pass(ctx, n)
		cancel()
		if err != nil {
			s.later.begin(n)
			time.AfterFunc(ringHoliday, s.catchUp)
			return
		}
		s.log.Info("redis was told what it missed", "created", len(n.tasks), "deleted", len(n.gone))
	}
}
