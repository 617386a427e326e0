package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	zoneless = regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$`)
	relative = regexp.MustCompile(`^[+-](?:(\d{1,6})d)?((?:[0-9.]+[a-zµ]+)*)$`)
)

// parseWhen reads a time as a person types it, and returns what is sent. A time with a zone
// is sent as it is, so that no digit of it is lost.
func parseWhen(text string, now time.Time) (string, error) {
	place := now.Location()
	now = now.UTC().Truncate(time.Microsecond) // nothing finer is kept
	if text == "now" {
		return now.Format(time.RFC3339Nano), nil
	}
	if parts := relative.FindStringSubmatch(text); parts != nil && len(text) > 1 {
		days, rest := parts[1], parts[2]
		var offset time.Duration
		if rest != "" {
			var err error
			if offset, err = time.ParseDuration(rest); err != nil {
				return "", wrongUse("%q is not a duration, such as +90s, +2h30m or +7d", text)
			}
		}
		n, _ := strconv.Atoi(days) // empty, or digits
		if text[0] == '-' {
			n, offset = -n, -offset
		}
		return now.Add(time.Duration(n) * 24 * time.Hour).Add(offset).Format(time.RFC3339Nano), nil
	}
	if _, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil {
		return text, nil
	}
	if zoneless.MatchString(text) {
		return "", wrongUse("the time %s has no zone: add Z for UTC or an offset%s", text, here(text, place))
	}
	return "", wrongUse("%q is not a time: write 2030-01-02T15:04:05Z, with an offset in place of Z, now, or +5m", text)
}

// here tells which instant a time without a zone is in this place.
func here(text string, place *time.Location) string {
	for _, form := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(form, strings.Replace(text, " ", "T", 1), place); err == nil {
			return "; in the zone of this machine it is " + at.Format(time.RFC3339)
		}
	}
	return ""
}

// showTime writes an instant in the zone of this machine, with its offset.
func showTime(text string, place *time.Location) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return printable(text)
	}
	return at.In(place).Format("2006-01-02T15:04:05.999999Z07:00")
}

// distance is how far an instant is from now, in one unit.
func distance(at, now time.Time) string {
	d := at.Sub(now)
	amount := d.Abs()
	text := strconv.Itoa(int(amount.Seconds())) + "s"
	switch {
	case amount >= 48*time.Hour:
		text = strconv.Itoa(int(amount.Hours()/24)) + "d"
	case amount >= 2*time.Hour:
		text = strconv.Itoa(int(amount.Hours())) + "h"
	case amount >= 2*time.Minute:
		text = strconv.Itoa(int(amount.Minutes())) + "m"
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}
