package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimes(t *testing.T) {
	place := time.FixedZone("somewhere", -4*60*60)
	now := time.Date(2027, 3, 1, 12, 0, 0, 123456789, place)
	for text, want := range map[string]string{
		"now":                                 "2027-03-01T16:00:00.123456Z",
		"+5m":                                 "2027-03-01T16:05:00.123456Z",
		"+0s":                                 "2027-03-01T16:00:00.123456Z",
		"-1h30m":                              "2027-03-01T14:30:00.123456Z",
		"+7d":                                 "2027-03-08T16:00:00.123456Z",
		"-1d12h":                              "2027-02-28T04:00:00.123456Z",
		"+1.5s":                               "2027-03-01T16:00:01.623456Z",
		"2030-01-02T15:04:05Z":                "2030-01-02T15:04:05Z",
		"2030-01-02T15:04:05.123456789+01:00": "2030-01-02T15:04:05.123456789+01:00",
		"2030-01-02t15:04:05z":                "2030-01-02t15:04:05z",
	} {
		got, err := parseWhen(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"2027-06-01T09:00":     "has no zone: add Z for UTC or an offset; in the zone of this machine it is 2027-06-01T09:00:00-04:00",
		"2027-06-01 09:00:01":  "2027-06-01T09:00:01-04:00",
		"2027-06-01":           "2027-06-01T00:00:00-04:00",
		"2027-13-01T09:00":     "has no zone",
		"":                     "is not a time",
		"+":                    "is not a time",
		"+5":                   "is not a time",
		"5m":                   "is not a time",
		"+5x":                  "is not a duration",
		"+1d1d":                "is not a duration",
		"1700000000":           "is not a time",
		"2027-02-30T00:00:00Z": "is not a time",
	} {
		_, err := parseWhen(text, now)
		require.ErrorContains(t, err, want, text)
		require.ErrorAs(t, err, new(*usageError))
	}
}

func TestDistances(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for want, offset := range map[string]time.Duration{
		"in 0s": 0, "in 90s": 90 * time.Second, "in 2m": 2*time.Minute + time.Second, "in 119m": 119 * time.Minute,
		"in 47h": 47 * time.Hour, "2d ago": -50 * time.Hour, "5s ago": -5 * time.Second,
	} {
		require.Equal(t, want, distance(now.Add(offset), now))
	}
}
