package recurrence

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// MaxExpression is the longest cron expression, in bytes.
const MaxExpression = 256

// cron is an expression: the values of each field that match, as bits.
type cron struct {
	second, minute, hour, day, month, weekday uint64
	// anyDay and anyWeekday: the field is *, so the other one decides alone.
	anyDay, anyWeekday bool
	// everyHour: the hour is *.
	everyHour bool
}

// field is one field of an expression.
type field struct {
	name        string
	least, most int
	names       []string // of the values from least on
}

var fields = []field{
	{name: "second", most: 59},
	{name: "minute", most: 59},
	{name: "hour", most: 23},
	{name: "day of month", least: 1, most: 31},
	{name: "month", least: 1, most: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	// 7 is Sunday as well.
	{name: "day of week", most: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

func parseCron(expression string) (*cron, error) {
	if len(expression) > MaxExpression {
		return nil, fmt.Errorf("is longer than %d bytes", MaxExpression)
	}
	words := strings.Fields(expression)
	switch len(words) {
	case len(fields):
	case len(fields) - 1:
		words = append([]string{"0"}, words...)
	default:
		return nil, errors.New("must have five fields (minute, hour, day of month, month, day of week), or six with the second first")
	}
	var c cron
	for i, set := range []*uint64{&c.second, &c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		var err error
		if *set, err = fields[i].parse(words[i]); err != nil {
			return nil, err
		}
	}
	c.weekday |= c.weekday >> 7 & 1
	c.everyHour, c.anyDay, c.anyWeekday = words[2] == "*", words[3] == "*", words[5] == "*"
	if !c.everMatches() {
		return nil, errors.New("never matches: no such month has such a day")
	}
	return &c, nil
}

// parse reads values, ranges and steps that commas separate.
func (f field) parse(text string) (set uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		one, err := f.parsePart(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

// parsePart reads *, a value or a range, with a step or without.
func (f field) parsePart(text string) (set uint64, err error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		if step, err = digits(stepText); err != nil || step < 1 || step > f.most {
			return 0, fmt.Errorf("has a %s whose step is not from 1 to %d", f.name, f.most)
		}
	}
	least, most := f.least, f.most
	if span != "*" {
		first, last, ranged := strings.Cut(span, "-")
		if least, err = f.value(first); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if most, err = f.value(last); err != nil {
				return 0, err
			}
		case !stepped: // 5/15 goes on to the end
			most = least
		}
		if least > most {
			return 0, fmt.Errorf("has a %s that ends before it begins", f.name)
		}
	} else if f.most == 7 {
		most = 6
	}
	for n := least; n <= most; n += step {
		set |= 1 << n
	}
	return set, nil
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.least + i, nil
		}
	}
	n, err := digits(text)
	if err != nil || n < f.least || n > f.most {
		return 0, fmt.Errorf("has a %s that is not from %d to %d", f.name, f.least, f.most)
	}
	return n, nil
}

var errDigits = errors.New("not one to three digits")

// digits reads a number that has no sign.
func digits(text string) (int, error) {
	if text == "" || len(text) > 3 || text[0] < '0' || text[0] > '9' {
		return 0, errDigits
	}
	return strconv.Atoi(text)
}

// everMatches is whether there is a day that matches in a month that does.
func (c *cron) everMatches() bool {
	if !c.anyWeekday || c.anyDay {
		return true // there is such a weekday in every month
	}
	longest := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for i, days := range longest {
		if c.month>>(i+1)&1 == 1 && bits.TrailingZeros64(c.day) <= days {
			return true
		}
	}
	return false
}

// searchYears is more than the years between two days that match: a leap day may be eight
// years away.
const searchYears = 9

// next is the first local time that matches, from one in whole seconds on. Both are
// written as if they were UTC.
func (c *cron) next(from time.Time) (time.Time, bool) {
	year, month, day := from.Date()
	hour, minute, second := from.Clock()
	date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if c.matchesDay(date) {
		if h, m, s, found := c.nextClock(hour, minute, second); found {
			return time.Date(year, month, day, h, m, s, 0, time.UTC), true
		}
	}
	for {
		date = date.AddDate(0, 0, 1)
		for c.month>>date.Month()&1 == 0 {
			date = time.Date(date.Year(), date.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		}
		if date.Year() > year+searchYears {
			return time.Time{}, false
		}
		if c.matchesDay(date) {
			h, m, s, _ := c.nextClock(0, 0, 0)
			return date.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second), true
		}
	}
}

// matchesDay: of a day of the month and a day of the week that are both given, either is
// enough.
func (c *cron) matchesDay(date time.Time) bool {
	if c.month>>date.Month()&1 == 0 {
		return false
	}
	day, weekday := c.day>>date.Day()&1 == 1, c.weekday>>date.Weekday()&1 == 1
	if c.anyDay || c.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// nextClock is the first time of a day that matches, from one on.
func (c *cron) nextClock(hour, minute, second int) (h, m, s int, found bool) {
	if h = nextBit(c.hour, hour); h != hour {
		return h, nextBit(c.minute, 0), nextBit(c.second, 0), h < 64
	}
	if m = nextBit(c.minute, minute); m == minute {
		if s = nextBit(c.second, second); s < 64 {
			return h, m, s, true
		}
		m = nextBit(c.minute, minute+1)
	}
	if m < 64 {
		return h, m, nextBit(c.second, 0), true
	}
	h = nextBit(c.hour, hour+1)
	return h, nextBit(c.minute, 0), nextBit(c.second, 0), h < 64
}

// nextBit is the lowest bit that is set from one on, or 64.
func nextBit(set uint64, from int) int { return bits.TrailingZeros64(set >> from << from) }
