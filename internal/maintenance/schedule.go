package maintenance

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/recurrence"
	"github.com/timewheel/timewheel/internal/task"
)

const (
	// schedulePage is how many schedules one transaction advances, and stepTasks how many
	// tasks one of them makes in it.
	schedulePage, stepTasks = 500, 200
	// stepSkips bounds how many instants a step passes by.
	stepSkips = 50_000
	// aheadOf is how far beyond the horizon occurrences are made: the cascade, which
	// looks as far as the horizon, then finds them in its time.
	aheadOf = time.Minute
	// schedulePages bounds one tick.
	schedulePages = 100
	// startGrace is how late an occurrence may start before catch_up governs it, at most.
	startGrace = time.Minute
)

// makeWhenLeading is a tick of the maker, if this node leads. Should two lead, they
// compute the same steps, of which Postgres takes one.
func (m *Maintainer) makeWhenLeading(ctx context.Context) error {
	if !m.leads.Load() {
		return nil
	}
	for range schedulePages {
		more, err := m.makePage(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return m.store.ForgetOccurrences(ctx, 10*pageSize)
}

// makePage advances the schedules that are soonest, and reports whether there may be more.
func (m *Maintainer) makePage(ctx context.Context) (more bool, err error) {
	now, err := m.store.Now(ctx)
	if err != nil {
		return false, err
	}
	until := now.Add(m.cfg.Horizon + aheadOf)
	due, err := m.store.DueSchedules(ctx, until, schedulePage)
	if err != nil || len(due) == 0 {
		return false, err
	}
	steps := make([]task.Advance, 0, len(due))
	for i := range due {
		step, err := Step(&due[i], now, until)
		if err != nil { // this node knows less than the one that took it: the others go on
			m.metrics.failures.WithLabelValues("schedule").Inc()
			m.log.Warn("schedule cannot be advanced", "schedule", due[i].Name, "error", err)
			continue
		}
		steps = append(steps, step)
	}
	made, err := m.store.MakeOccurrences(ctx, steps)
	if err != nil {
		return false, err
	}
	if _, err := m.index.Repair(ctx, dueBefore(made, now.Add(m.cfg.Horizon))); err != nil {
		return false, err // the repair makes up for it
	}
	return len(due) == schedulePage && len(steps) > 0, nil
}

func dueBefore(all []task.Due, until time.Time) (soon []task.Due) {
	for _, d := range all {
		if !d.At.After(until) {
			soon = append(soon, d)
		}
	}
	return soon
}

// Step computes what a schedule makes next. It reads no clock.
func Step(s *task.DueSchedule, now, until time.Time) (task.Advance, error) {
	step := task.Advance{Name: s.Name, Revision: s.Revision, MadeUntil: s.MadeUntil}
	rule, err := recurrence.Of(&s.Schedule)
	if err != nil {
		return step, err
	}
	var missed *time.Time // the newest that catch_up last will make
	for range stepSkips {
		at, found := recurrence.NextOf(&s.Schedule, rule, step.MadeUntil)
		if missed != nil && (!found || !isLate(rule, at, now)) {
			step.Made, missed = append(step.Made, occurrence(s, rule, *missed)), nil
			if s.Overlap == task.OverlapSkip {
				if step.NextAt = nil; found { // looked at again once it has ended
					step.NextAt = &at
				}
				return step, nil
			}
		}
		if !found {
			step.NextAt = nil
			return step, nil
		}
		step.NextAt = &at
		if at.After(until) || len(step.Made) >= stepTasks {
			return step, nil
		}
		switch {
		case s.Overlap == task.OverlapSkip && s.EndedAt != nil && !at.After(*s.EndedAt):
			step.Overlap++
			skip(&step, at, "overlap")
		case s.CatchUp != task.CatchUpAll && isLate(rule, at, now):
			if s.CatchUp == task.CatchUpNone {
				skip(&step, at, "late")
				step.Late++
			} else {
				if missed != nil {
					skip(&step, *missed, "late")
					step.Late++
				}
				missed = &at
			}
		default:
			step.Made = append(step.Made, occurrence(s, rule, at))
			if s.Overlap == task.OverlapSkip {
				step.MadeUntil = at
				return step, nil
			}
		}
		step.MadeUntil = at
	}
	if missed != nil { // it is looked at once more, whether it is the newest
		step.MadeUntil = missed.Add(-time.Microsecond)
	}
	return step, nil
}

func skip(step *task.Advance, at time.Time, reason string) { step.LastAt, step.Reason = &at, reason }

// isLate is whether an occurrence could not start within a minute of its instant, or half of
// the period.
func isLate(rule recurrence.Rule, at, now time.Time) bool { return now.Sub(at) > graceOf(rule, at) }

func graceOf(rule recurrence.Rule, at time.Time) time.Duration {
	if next, found := rule.Next(at); found {
		return min(startGrace, next.Sub(at)/2)
	}
	return startGrace
}

func occurrence(s *task.DueSchedule, rule recurrence.Rule, at time.Time) task.Occurrence {
	draft := task.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: s.TaskType, Payload: s.Payload, Labels: s.Labels, MaxAttempts: s.TypeAttempts,
		Timeout: s.Timeout, Retry: s.Retry,
		ExecutionTime: dueOf(s, at), Key: KeyOf(s.Name, at), SkipAfter: skipAfter(s, rule, at),
	}
	if s.MaxAttempts != nil {
		draft.MaxAttempts = *s.MaxAttempts
	}
	return task.Occurrence{At: at, Draft: draft}
}

// dueOf is when the task of an occurrence is due.
func dueOf(s *task.DueSchedule, at time.Time) time.Time { return task.Ceil(at.Add(jitter(s, at))) }

// skipAfter is until when an occurrence may start: with catch_up none for a while, with last
// until the next one is due, which is the newest then.
func skipAfter(s *task.DueSchedule, rule recurrence.Rule, at time.Time) *time.Time {
	until := dueOf(s, at).Add(graceOf(rule, at))
	switch s.CatchUp {
	case task.CatchUpNone:
		return &until
	case task.CatchUpLast:
		next, found := recurrence.NextOf(&s.Schedule, rule, at)
		if !found {
			return nil
		}
		if due := dueOf(s, next); due.After(until) {
			until = due
		}
		return &until
	default:
		return nil
	}
}

// KeyOf is the idempotency key of an occurrence.
func KeyOf(schedule string, at time.Time) string {
	return task.ScheduleKeys + schedule + "/" + at.UTC().Format(time.RFC3339Nano)
}

// jitter is the same for an occurrence whoever computes it.
func jitter(s *task.DueSchedule, at time.Time) time.Duration {
	if s.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(KeyOf(s.Name, at))) // which never fails
	return time.Duration(h.Sum64()>>1) % s.Jitter
}
