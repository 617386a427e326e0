package httpapi

import (
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const timeForm = "must be a time as RFC 3339 writes it, with a zone, such as 2030-01-02T15:04:05Z"

// parseTime reads RFC 3339 and nothing else, and returns UTC in whole
// microseconds, rounded up; or what is wrong. package time's own layout takes
// a comma and a zone of +24:00, and cuts a fraction after nine digits, which
// rounds down.
func parseTime(text string) (at time.Time, wrong string) {
	fail := func(wrong string) (time.Time, string) { return time.Time{}, wrong }
	s := scanner{rest: text}
	year := s.digits(4)
	s.one("-")
	month := s.digits(2)
	s.one("-")
	day := s.digits(2)
	s.one("Tt")
	hour := s.digits(2)
	s.one(":")
	minute := s.digits(2)
	s.one(":")
	second := s.digits(2)
	nanosecond := s.fraction()
	if !s.failed && s.rest == "" {
		return fail("has no zone, such as Z or +02:00")
	}
	zone := time.UTC
	if sign := s.one("Zz+-"); sign == '+' || sign == '-' {
		zoneHour := s.digits(2)
		s.one(":")
		zoneMinute := s.digits(2)
		if !s.failed && (zoneHour > 23 || zoneMinute > 59) {
			return fail("has a zone beyond 23:59")
		}
		offset := (zoneHour*60 + zoneMinute) * 60
		if sign == '-' {
			offset = -offset
		}
		zone = time.FixedZone("", offset)
	}

	switch {
	case s.failed || s.rest != "":
		return fail(timeForm)
	case second == 60:
		return fail("is a leap second, which the clocks here do not have")
	case month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59:
		return fail("is not a time that exists")
	}
	at = time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
	if at.Day() != day {
		return fail("is not a day that exists")
	}
	at = task.Ceil(at.Add(time.Duration(nanosecond))).UTC()
	if at.Before(task.MinTime) || at.After(task.MaxTime) {
		return fail("is outside the years 0001 to 9999 (UTC)")
	}
	return at, ""
}

// scanner reads a text of fixed form from its start. Once something does not
// fit it stays failed.
type scanner struct {
	rest   string
	failed bool
}

// digits reads a number of exactly n digits.
func (s *scanner) digits(n int) int {
	number := 0
	for range n {
		number = number*10 + int(s.one("0123456789")) - '0'
	}
	return number
}

// one reads one character of a set.
func (s *scanner) one(set string) byte {
	if s.rest != "" {
		for i := range len(set) {
			if s.rest[0] == set[i] {
				s.rest = s.rest[1:]
				return set[i]
			}
		}
	}
	s.failed = true
	return '0'
}

// fraction reads an optional fraction of a second of any length, in
// nanoseconds, rounded up.
func (s *scanner) fraction() int {
	if s.rest == "" || s.rest[0] != '.' {
		return 0
	}
	s.one(".")
	nanoseconds, count, roundUp := 0, 0, 0
	for ; s.rest != "" && s.rest[0] >= '0' && s.rest[0] <= '9'; count++ {
		digit := int(s.rest[0] - '0')
		s.rest = s.rest[1:]
		switch {
		case count < 9:
			nanoseconds = nanoseconds*10 + digit
		case digit > 0:
			roundUp = 1
		}
	}
	if count == 0 {
		s.failed = true
	}
	for ; count < 9; count++ {
		nanoseconds *= 10
	}
	return nanoseconds + roundUp
}
