package httpapi

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/timewheel/timewheel/internal/task"
)

const timeForm = "must be a time as RFC 3339 writes it, with a zone, such as 2030-01-02T15:04:05Z"

// rfc3339 has the seconds, the fraction and the zone of a time as groups.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$`)

// parseTime reads RFC 3339 and nothing else, and returns UTC in whole microseconds, rounded up:
// nothing happens before it.
func parseTime(text string) (time.Time, error) {
	at, finer, err := parseExactly(text)
	return inYears(task.Ceil(at.Add(finer)), err)
}

// parseEnd is parseTime, rounded down: nothing happens after it.
func parseEnd(text string) (time.Time, error) {
	at, _, err := parseExactly(text)
	return inYears(task.Floor(at), err)
}

func inYears(at time.Time, err error) (time.Time, error) {
	if err == nil && (at.Before(task.MinTime) || at.After(task.MaxTime)) {
		err = errors.New("is outside the years 0001 to 9999 (UTC)")
	}
	if err != nil {
		return time.Time{}, err
	}
	return at.UTC(), nil
}

// parseExactly returns the first nine digits of the second, and a nanosecond more if others
// follow that say so. package time lets more through than RFC 3339: a comma, an hour of one
// digit, a zone of +24:00; and it cuts a fraction after nine digits, which rounds down.
func parseExactly(text string) (at time.Time, finer time.Duration, err error) {
	at, err = time.Parse(time.RFC3339, text)
	if err != nil || !isUsual(text) {
		return parseUnusual(strings.ToUpper(text))
	}
	return at, 0, nil
}

// isUsual reports whether a text that package time can read is RFC 3339 in UTC with at
// most nine digits of a second. It saves the regular expression, which is slow.
func isUsual(text string) bool {
	return len(text) <= len("2006-01-02T15:04:05.999999999Z") && strings.HasSuffix(text, "Z") &&
		text[len("2006-01-02T15")] == ':' && (text[len("2006-01-02T15:04:05")] == '.' || len(text) == len("2006-01-02T15:04:05Z"))
}

// parseUnusual reads the rest of RFC 3339, and says what is wrong with anything else.
func parseUnusual(text string) (at time.Time, finer time.Duration, err error) {
	parts := rfc3339.FindStringSubmatch(text)
	if parts == nil {
		return time.Time{}, 0, errors.New(timeForm)
	}
	second, fraction, zone := parts[1], parts[2], parts[3]
	switch {
	case zone == "":
		return time.Time{}, 0, errors.New("has no zone, such as Z or +02:00")
	case zone != "Z" && (zone[1:3] > "23" || zone[4:6] > "59"):
		return time.Time{}, 0, errors.New("has a zone beyond 23:59")
	case second == "60":
		return time.Time{}, 0, errors.New("is a leap second, which the clocks here do not have")
	}
	if nine := len(".999999999"); len(fraction) > nine {
		if strings.Trim(fraction[nine:], "0") != "" {
			finer = 1
		}
		text = strings.Replace(text, fraction, fraction[:nine], 1)
	}
	at, err = time.Parse(time.RFC3339, text)
	switch {
	case err == nil:
		return at, finer, nil
	case strings.HasSuffix(err.Error(), ": day out of range"):
		return time.Time{}, 0, errors.New("is not a day that exists")
	}
	return time.Time{}, 0, errors.New("is not a time that exists")
}
