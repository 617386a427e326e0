package judge_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timewheel/timewheel/test/judge"
)

func TestSpreadRanks(t *testing.T) {
	var durations []time.Duration
	for i := 200; i >= 1; i-- {
		durations = append(durations, time.Duration(i))
	}
	require.Equal(t, judge.Spread{Count: 200, P50: 100, P99: 198, Max: 200}, judge.SpreadOf(durations))
}
