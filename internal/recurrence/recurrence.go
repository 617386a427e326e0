// Package recurrence says when a schedule falls due. It does no I/O and reads no clock.
//
// A Rule is either a period, which is elapsed time from an anchor, or a cron expression
// in a time zone. A cron expression names local times, and those are not evenly spaced:
//
//   - A local time that is skipped falls due at the first instant after the gap. Several
//     that are skipped together are one.
//   - A local time that comes twice falls due once, in its first pass.
//   - An expression whose hour is * follows elapsed time: it falls due whenever the clock
//     on the wall matches, in both passes, and nothing stands for what is skipped.
package recurrence

import (
	"time"
)

// Rule is when something falls due. It is made by Cron or Every.
type Rule struct {
	cron *cron
	zone *time.Location

	every  time.Duration
	anchor time.Time
}

// MinEvery and MaxEvery bound a period.
const (
	MinEvery = time.Second
	MaxEvery = 10 * 366 * 24 * time.Hour
)

// Cron is the rule of a cron expression of five fields, or of six with the seconds
// first, in a zone. The error says what is wrong with it, for a person.
func Cron(expression string, zone *time.Location) (Rule, error) {
	c, err := parseCron(expression)
	return Rule{cron: c, zone: zone}, err
}

// Every is the rule of a period of whole microseconds from MinEvery to MaxEvery: the
// anchor, and each period from there on.
func Every(period time.Duration, anchor time.Time) Rule {
	return Rule{every: period, anchor: anchor}
}

// Next is the first instant after a time at which the rule falls due. It is false if
// there is none up to the end of the year 9999.
func (r Rule) Next(after time.Time) (time.Time, bool) {
	var at time.Time
	var ok bool
	switch {
	case r.cron == nil:
		at, ok = r.nextPeriod(after), true
	case r.cron.everyHour:
		at, ok = r.nextMatch(after)
	default:
		at, ok = r.nextLocal(after)
	}
	return at.UTC(), ok && at.UTC().Year() <= lastYear
}

const lastYear = 9999

func (r Rule) nextPeriod(after time.Time) time.Time {
	if after.Before(r.anchor) {
		return r.anchor
	}
	// In microseconds, which hold every time there is: a Duration ends after 292 years.
	period, anchor := r.every.Microseconds(), r.anchor.UnixMicro()
	periods := (after.UnixMicro()-anchor)/period + 1
	return time.UnixMicro(anchor + periods*period)
}

// nextMatch is the next instant at which the clock on the wall matches.
func (r Rule) nextMatch(after time.Time) (time.Time, bool) {
	at := after.In(r.zone)
	wanted := wall(at).Add(time.Second)
	for range maxSegments {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		local, found := r.cron.next(wanted)
		if !found {
			return time.Time{}, false
		}
		match := instant(local, offset)
		if end.IsZero() || match.Before(end) {
			return match, true
		}
		at = end.In(r.zone)
		wanted = ceilSecond(wall(at))
	}
	return time.Time{}, false
}

// nextLocal is the first instant after a time at which the clock on the wall comes to,
// or passes, a local time that matches, for the first time.
func (r Rule) nextLocal(after time.Time) (time.Time, bool) {
	local, found := r.cron.next(r.unseen(after))
	if !found {
		return time.Time{}, false
	}
	return r.reached(local), true
}

// unseen is the earliest local time that the clock on the wall has neither shown nor
// passed up to an instant.
func (r Rule) unseen(until time.Time) time.Time {
	earliest := wall(until.In(r.zone)).Add(time.Second)
	for at := until.Add(-reach).In(r.zone); ; {
		_, end := at.ZoneBounds()
		if end.IsZero() || end.After(until) {
			return earliest
		}
		_, offset := at.Zone()
		// What is before the end of a pass was shown in it.
		if shown := ceilSecond(asUTC(end, offset)); shown.After(earliest) {
			earliest = shown
		}
		at = end.In(r.zone)
	}
}

// reached is the first instant at which the clock on the wall shows a local time, or a
// later one.
func (r Rule) reached(local time.Time) time.Time {
	at := local.Add(-reach).In(r.zone)
	for {
		_, offset := at.Zone()
		_, end := at.ZoneBounds()
		shown := instant(local, offset)
		switch {
		case shown.Before(at): // it was skipped
			return at
		case end.IsZero() || shown.Before(end):
			return shown
		}
		at = end.In(r.zone)
	}
}

const (
	// reach is more than what any zone is away from UTC, and than what it ever skipped.
	reach = 50 * time.Hour
	// maxSegments bounds how many changes of the clock are passed: more than there are in
	// the years that an expression is looked for in.
	maxSegments = 4 * 16
)

// wall is what the clock on the wall shows, in whole seconds, as if it were UTC.
func wall(at time.Time) time.Time {
	_, offset := at.Zone()
	return asUTC(at, offset).Truncate(time.Second)
}

func asUTC(at time.Time, offset int) time.Time {
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

func instant(local time.Time, offset int) time.Time {
	return local.Add(-time.Duration(offset) * time.Second)
}

func ceilSecond(t time.Time) time.Time {
	if floor := t.Truncate(time.Second); floor.Before(t) {
		return floor.Add(time.Second)
	}
	return t
}
