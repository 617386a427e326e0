package recurrence

import (
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

// Of is the rule of a schedule. It was checked when the schedule was put, so the error says
// that this node's time zones are others.
func Of(s *task.Schedule) (Rule, error) {
	if s.Cron == "" {
		anchor := s.CreatedAt
		if s.StartsAt != nil {
			anchor = *s.StartsAt
		}
		return Every(s.Every, anchor), nil
	}
	zone, err := Zone(s.Zone)
	if err != nil {
		return Rule{}, err
	}
	return Cron(s.Cron, zone)
}

// NextOf is the first instant of a schedule after a time, within its bounds.
func NextOf(s *task.Schedule, rule Rule, after time.Time) (time.Time, bool) {
	if s.StartsAt != nil && after.Before(*s.StartsAt) {
		after = s.StartsAt.Add(-time.Microsecond)
	}
	at, ok := rule.Next(after)
	return at, ok && (s.EndsAt == nil || at.Before(*s.EndsAt))
}
