package recurrence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/recurrence"
)

const minutes = "2006-01-02T15:04"

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(minutes, text)
	require.NoError(t, err)
	return parsed
}

func cron(t *testing.T, expression, zone string) recurrence.Rule {
	t.Helper()
	location, err := recurrence.Zone(zone)
	require.NoError(t, err)
	rule, err := recurrence.Cron(expression, location)
	require.NoError(t, err)
	return rule
}

// from lists the instants after a time.
func from(t *testing.T, rule recurrence.Rule, after time.Time, n int) (all []string) {
	t.Helper()
	for range n {
		next, ok := rule.Next(after)
		require.True(t, ok)
		require.True(t, next.After(after), "%s is not after %s", next, after)
		all = append(all, next.Format(minutes))
		after = next
	}
	return all
}

// The times are written by hand, in UTC.
func TestCronOverChangesOfTheClock(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone, cron, after string
		want              string
	}{
		{"Australia/Lord_Howe", "45 1 * * *", "2027-04-02T00:00", "2027-04-02T14:45 2027-04-03T14:45 2027-04-04T15:15"},
		{"Australia/Lord_Howe", "15 2 * * *", "2027-10-01T00:00", "2027-10-01T15:45 2027-10-02T15:30 2027-10-03T15:15"},
		{"America/Santiago", "30 23 * * *", "2027-04-03T00:00", "2027-04-03T02:30 2027-04-04T02:30 2027-04-05T03:30"},
		{"America/Santiago", "30 0 * * *", "2027-09-04T00:00", "2027-09-04T04:30 2027-09-05T04:00 2027-09-06T03:30"},
		{"Africa/Cairo", "30 23 * * *", "2027-10-27T00:00", "2027-10-27T20:30 2027-10-28T20:30 2027-10-29T21:30"},
		{"Africa/Cairo", "30 0 * * *", "2027-04-28T22:00", "2027-04-28T22:30 2027-04-29T22:00 2027-04-30T21:30"},
		{"Europe/Paris", "30 2 * * *", "2027-10-30T00:00", "2027-10-30T00:30 2027-10-31T00:30 2027-11-01T01:30"},
		{"Europe/Paris", "30 2 * * *", "2027-03-27T00:00", "2027-03-27T01:30 2027-03-28T01:00 2027-03-29T00:30"},
		{"America/New_York", "30 1 * * *", "2027-11-06T00:00", "2027-11-06T05:30 2027-11-07T05:30 2027-11-08T06:30"},
		{"America/New_York", "30 2 * * *", "2027-03-13T00:00", "2027-03-13T07:30 2027-03-14T07:00 2027-03-15T06:30"},
		{"Europe/Berlin", "1 0 * * *", "2027-10-30T00:00", "2027-10-30T22:01 2027-10-31T23:01 2027-11-01T23:01"},
		// Several that are skipped, and what follows the gap, are one.
		{"Europe/Paris", "0,15,30,45 2,3 * * *", "2027-03-28T00:59", "2027-03-28T01:00 2027-03-28T01:15 2027-03-28T01:30"},
		// Begun within the second pass, nothing of the first is left.
		{"Europe/Paris", "30 2 * * *", "2027-10-31T01:10", "2027-11-01T01:30 2027-11-02T01:30 2027-11-03T01:30"},
		// An hour of * runs in both passes, and nothing stands for what is skipped.
		{"Europe/Paris", "30 * * * *", "2027-10-31T00:00", "2027-10-31T00:30 2027-10-31T01:30 2027-10-31T02:30"},
		{"Europe/Paris", "30 * * * *", "2027-03-28T00:00", "2027-03-28T00:30 2027-03-28T01:30 2027-03-28T02:30"},
		{"Australia/Lord_Howe", "*/15 * * * *", "2027-04-03T14:44", "2027-04-03T14:45 2027-04-03T15:00 2027-04-03T15:15"},
		// A whole day that was skipped: its time is the first instant after it.
		{"Pacific/Apia", "0 9 * * *", "2011-12-29T20:00", "2011-12-30T10:00 2011-12-30T19:00 2011-12-31T19:00"},
	} {
		rule := cron(t, test.cron, test.zone)
		want := strings.Fields(test.want)
		require.Equal(t, want, from(t, rule, at(t, test.after), len(want)), "%s %s", test.zone, test.cron)
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ cron, after, want string }{
		{"0 0 13 * 5", "2026-12-31T23:59", "2027-01-01 2027-01-08 2027-01-13 2027-01-15 2027-01-22 2027-01-29 2027-02-05 2027-02-12 2027-02-13 2027-02-19"},
		{"0 0 29 2 *", "2027-01-01T00:00", "2028-02-29 2032-02-29 2036-02-29"},
		{"0 0 29 2 *", "2096-03-01T00:00", "2104-02-29"},
		{"0 0 * * 7", "2027-01-01T00:00", "2027-01-03 2027-01-10"},
		{"0 0 * * 6-7", "2027-01-01T00:00", "2027-01-02 2027-01-03 2027-01-09"},
		{"0 0 1 JAN,jul *", "2027-01-01T00:00", "2027-07-01 2028-01-01"},
		{"0 0 31 * *", "2027-01-31T00:00", "2027-03-31 2027-05-31"},
	} {
		want := strings.Fields(test.want)
		got := from(t, cron(t, test.cron, "UTC"), at(t, test.after), len(want))
		for i := range got {
			require.Equal(t, want[i]+"T00:00", got[i], test.cron)
		}
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	rule := cron(t, "*/20 59 23 31 12 *", "UTC")
	next, ok := rule.Next(time.Date(2027, 12, 31, 23, 59, 20, 1, time.UTC))
	require.True(t, ok)
	require.Equal(t, time.Date(2027, 12, 31, 23, 59, 40, 0, time.UTC), next)
	next, _ = rule.Next(next)
	require.Equal(t, time.Date(2028, 12, 31, 23, 59, 0, 0, time.UTC), next)
	_, ok = rule.Next(time.Date(9999, 12, 31, 23, 59, 40, 0, time.UTC))
	require.False(t, ok)
}

func TestEveryIsElapsedTime(t *testing.T) {
	t.Parallel()
	anchor := time.Date(2027, 10, 30, 10, 0, 0, 1000, time.UTC)
	day := recurrence.Every(24*time.Hour, anchor)
	for i, after := range []time.Time{anchor.Add(-time.Second), anchor, anchor.Add(47 * time.Hour)} {
		next, ok := day.Next(after)
		require.True(t, ok)
		require.Equal(t, anchor.AddDate(0, 0, i), next)
	}
	far, ok := recurrence.Every(time.Second, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)).
		Next(time.Date(9999, 1, 1, 0, 0, 0, 999, time.UTC))
	require.True(t, ok)
	require.Equal(t, time.Date(9999, 1, 1, 0, 0, 1, 0, time.UTC), far)
}

func TestExpressionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "TZ=0", "CRON_TZ=UTC", "TZ=UTC * * * * *", "CRON_TZ=UTC 0 0 * * *", "@daily", "@every 1s", "*/0 * * * *",
		"*/00 0 * * *", "5-2 * * * *", ",", ", * * * *", "1, * * * *", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *",
		"* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "-1 * * * *", "+1 * * * *", "1-2-3 * * * *", "1/2/3 * * * *",
		"0 0 31 2 *", "0 0 30,31 2 *", "0 0 31 4,6,9,11 *", "0 0 L * *", "0 0 ? * *", "0 0 * * 1#2", "H * * * *", "99999999999999999999 * * * *",
		strings.Repeat("1,", 1<<19) + "1 * * * *", "0 0 * * *\x00",
	} {
		_, err := recurrence.Cron(text, time.UTC)
		require.Error(t, err, "%.40q", text)
	}
}

func TestZonesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "Local", "europe/paris ", "Mars/Phobos", "../../etc/passwd", "UTC+8", "localtime", "right/Europe/Paris",
		"posix/Europe/Paris", "/etc/localtime", "Europe/", "Europe", "Europe/Paris\x00", strings.Repeat("a", 1<<20),
	} {
		_, err := recurrence.Zone(name)
		require.Error(t, err, "%.40q", name)
	}
	for _, name := range []string{"UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+8"} {
		_, err := recurrence.Zone(name)
		require.NoError(t, err, name)
	}
}
