package recurrence_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/internal/recurrence"
)

// Whatever is accepted has a next instant, later than the time that it was asked for, and
// what is between the two has the same one.
func FuzzCron(f *testing.F) {
	for _, text := range []string{"* * * * *", "*/5 0 1-7 jan mon", "0 30 2 29 2 *", "59 59 23 31 12 7", "0 0 13 * 5"} {
		f.Add(text, int64(1_806_000_000), uint8(0))
	}
	zones := []string{"UTC", "Europe/Paris", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Pacific/Apia"}
	f.Fuzz(func(t *testing.T, text string, second int64, zone uint8) {
		location, err := recurrence.Zone(zones[int(zone)%len(zones)])
		require.NoError(t, err)
		rule, err := recurrence.Cron(text, location)
		if err != nil {
			return
		}
		after := time.Unix(second%200_000_000_000, 0)
		if after.Year() < 1 || after.Year() > 9980 {
			return
		}
		next, ok := rule.Next(after)
		require.True(t, ok)
		require.True(t, next.After(after))
		again, ok := rule.Next(after.Add(next.Sub(after) / 2))
		require.True(t, ok)
		require.True(t, next.Equal(again))
	})
}
