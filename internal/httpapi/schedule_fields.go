package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/timewheel/timewheel/internal/recurrence"
	"github.com/timewheel/timewheel/internal/task"
)

// maxJitter is the most that an occurrence is moved by.
const maxJitter = 24 * time.Hour

// decodeSchedule reads a schedule and lists everything that is wrong with it. What is not
// named, or is null, has its default.
func (a *api) decodeSchedule(ctx context.Context, name string, body []byte) (task.Schedule, error) {
	var f faults
	s := task.Schedule{Name: name, Zone: "UTC", CatchUp: task.CatchUpLast, Overlap: task.OverlapAllow}
	if !task.ValidTypeName(name) {
		f.add("name", "must be a lower case letter and then at most 63 of a-z, 0-9, '.', '_' and '-'")
	}
	var definition jsontext.Value
	var cron, every bool
	err := readBody(body, func(member []byte, raw jsontext.Value) {
		if raw.Kind() == 'n' {
			switch string(member) {
			case "name", "cron", "every", "time_zone", "starts_at", "ends_at", "jitter", "catch_up", "overlap", "paused", "task":
				return
			}
		}
		switch string(member) {
		case "name":
			if textOf(raw) != name {
				f.add("name", "is not that of the path")
			}
		case "cron":
			cron, s.Cron = true, textOf(raw)
		case "every":
			every = true
			s.Every, _ = readDuration(raw, "every", recurrence.MinEvery, recurrence.MaxEvery, &f)
			if s.Every%time.Microsecond != 0 {
				f.add("every", "is finer than a microsecond")
			}
		case "time_zone":
			s.Zone = textOf(raw)
		case "starts_at":
			s.StartsAt = readBound(raw, "starts_at", &f)
		case "ends_at":
			s.EndsAt = readBound(raw, "ends_at", &f)
		case "jitter":
			s.Jitter, _ = readDuration(raw, "jitter", 0, maxJitter, &f)
			s.Jitter = s.Jitter.Truncate(time.Microsecond)
		case "catch_up":
			s.CatchUp = task.CatchUp(textOf(raw))
		case "overlap":
			s.Overlap = task.Overlap(textOf(raw))
		case "paused":
			if kind := raw.Kind(); kind != 't' && kind != 'f' {
				f.add("paused", "must be true or false")
			}
			s.Paused = raw.Kind() == 't'
		case "task":
			definition = raw
		case "created_at", "updated_at", "skipped": // as answers show them
		default:
			f.add(shorten(string(member)), "is not known")
		}
	})
	if err != nil {
		return s, err
	}
	checkTimes(&s, cron, every, &f)
	checkChoices(&s, &f)
	if definition == nil {
		f.add("task", "is required")
	} else {
		a.readDefinition(ctx, definition, &s, &f)
	}
	return s, f.err()
}

func readBound(raw jsontext.Value, field string, f *faults) *time.Time {
	at, err := parseTime(textOf(raw))
	if err != nil {
		f.add(field, err.Error())
	}
	return &at
}

func checkTimes(s *task.Schedule, cron, every bool, f *faults) {
	zone, err := recurrence.Zone(s.Zone)
	if err != nil {
		f.add("time_zone", err.Error())
		zone = time.UTC
	}
	if cron == every {
		f.add("cron", "or every is required, and not both")
	} else if cron {
		if _, err := recurrence.Cron(s.Cron, zone); err != nil {
			f.add("cron", err.Error())
		}
	}
	if s.StartsAt != nil && s.EndsAt != nil && !s.StartsAt.Before(*s.EndsAt) {
		f.add("ends_at", "is not after starts_at")
	}
}

func checkChoices(s *task.Schedule, f *faults) {
	switch s.CatchUp {
	case task.CatchUpNone, task.CatchUpLast, task.CatchUpAll:
	default:
		f.add("catch_up", "must be none, last or all")
	}
	switch s.Overlap {
	case task.OverlapAllow:
	case task.OverlapSkip:
		if s.CatchUp == task.CatchUpAll {
			f.add("overlap", "skip contradicts catch_up all: what is caught up would overlap")
		}
	default:
		f.add("overlap", "must be allow or skip")
	}
}

// readDefinition reads what each task is: the members of POST /task but for execution_time.
func (a *api) readDefinition(ctx context.Context, raw jsontext.Value, s *task.Schedule, f *faults) {
	if raw.Kind() != '{' {
		f.add("task", "must be an object")
		return
	}
	var inner faults
	members := a.newMembers(ctx, &inner)
	err := readMembers(newDecoder(raw), raw, func(name []byte, value jsontext.Value) {
		if n := string(name); n == "execution_time" || n == "not_after" {
			inner.add(n, "is that of the occurrence")
			return
		}
		members.take(name, value)
	})
	var draft task.Draft
	if err == nil {
		members.fillButTime(&draft)
	}
	for _, fault := range inner.list {
		f.add("task."+fault.Field, fault.Message)
	}
	if inner.unsure != nil {
		f.unsure = inner.unsure
	}
	s.TaskType, s.Timeout, s.Retry = draft.Type, draft.Timeout, draft.Retry
	if draft.Payload != nil {
		s.Payload = json.RawMessage(append([]byte{}, draft.Payload...))
	}
	s.Labels = draft.Labels
	if !draft.AttemptsByType {
		s.MaxAttempts = &draft.MaxAttempts
	}
}
